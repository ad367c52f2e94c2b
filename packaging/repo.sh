#!/bin/bash
# Makes a directory that apt installs from: repo.sh FOLDER_WITH_DEBS OUT. Signed with the key that GPG_KEY names; unsigned without one, and then
# the source line needs [trusted=yes].
set -euo pipefail
[ $# = 2 ] || { echo "usage: repo.sh FOLDER_WITH_DEBS OUT" >&2; exit 2; }
top=$(cd "$(dirname "$0")/.." && pwd)
. "$top/packaging/failing.sh"
. "$top/packaging/version.sh"
command -v apt-ftparchive >/dev/null || { echo "repo: no apt-ftparchive: apt-get install apt-utils" >&2; exit 1; }
mkdir -p "$2"
cp "$1"/*.deb "$2/"
cd "$2"
rm -f InRelease Release Release.gpg Packages Packages.gz
apt-ftparchive packages . >../.packages.$$
mv ../.packages.$$ Packages
gzip -9nk Packages
apt-ftparchive -o "APT::FTPArchive::Release::Origin=etcd-appliance" -o "APT::FTPArchive::Release::Label=etcd-appliance" release . >../.release.$$
# The date is the commit's, so that the same packages make the same directory.
sed "s/^Date: .*/Date: $(date -R -d "@$SOURCE_DATE_EPOCH")/" ../.release.$$ >Release
rm ../.release.$$
if [ -n "${GPG_KEY:-}" ]; then
    gpg --batch --yes --local-user "$GPG_KEY" --clearsign --output InRelease Release
    gpg --batch --yes --local-user "$GPG_KEY" --armor --detach-sign --output Release.gpg Release
    echo "deb [signed-by=KEYRING] file:$PWD ./"
else
    echo "unsigned: set GPG_KEY to sign it. In the meantime: deb [trusted=yes] file:$PWD ./"
fi
