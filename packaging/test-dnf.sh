# shellcheck shell=bash
# Sourced by test.sh: dnf resolves the rpm packages on Enterprise Linux 9, Fedora and openSUSE Leap. Stub packages stand for each system: they provide
# what its own packages provide, and nothing newer.
# shellcheck disable=SC2154

# Capabilities of a shared library, one for each version of its symbols up to the newest.
capabilities() { # library, prefix, newest, versions...
    local library=$1 prefix=$2 newest=$3 version
    shift 3
    echo "$library()(64bit)"
    for version in "$@"; do
        if [ "$(printf '%s\n%s\n' "$version" "$newest" | sort -V | tail -1)" = "$newest" ]; then echo "$library(${prefix}_$version)(64bit)"; fi
    done
}
glibc_versions() { seq -f 2.%g 3 45; printf '%s\n' 2.2.5 2.3.2 2.3.3 2.3.4; }
cxx_versions() { echo 3.4; seq -f 3.4.%g 1 35; }
abi_versions() { echo 1.3; seq -f 1.3.%g 1 16; }

stub() { # name, version, capabilities on standard input
    local spec=$work/stub.spec
    printf 'Name: %s\nVersion: %s\nRelease: 1\nSummary: Stub\nLicense: Apache-2.0\nBuildArch: %s\n' "$1" "$2" "$(uname -m)" >"$spec"
    sed 's/^/Provides: /' >>"$spec"
    printf '%%description\nStands for the package of this name.\n%%files\n' >>"$spec"
    rpmbuild -bb --quiet --define "_topdir $work/stubs-top" --define "_rpmdir $system" "$spec" >"$work/log" 2>&1 || fail "stub $1: $(cat "$work/log")"
}

system() { # name, glibc, libstdc++, C++ ABI, systemd
    local system=$work/systems/$1 library
    mkdir -p "$system"
    {
        # shellcheck disable=SC2046
        for library in libc.so.6 libm.so.6 libpthread.so.0 libdl.so.2 librt.so.1; do capabilities $library GLIBC "$2" $(glibc_versions); done
        # shellcheck disable=SC2046
        capabilities ld-linux-x86-64.so.2 GLIBC "$2" $(glibc_versions)
        echo 'rtld(GNU_HASH)'
    } | stub glibc "$2"
    {
        # shellcheck disable=SC2046
        capabilities libstdc++.so.6 GLIBCXX "$3" $(cxx_versions)
        # shellcheck disable=SC2046
        capabilities libstdc++.so.6 CXXABI "$4" $(abi_versions) | tail -n +2
    } | stub libstdc++ 11
    capabilities libgcc_s.so.1 GCC 7.0.0 3.0 3.3 4.2.0 7.0.0 | stub libgcc 11
    printf '%s\n' /bin/sh /usr/bin/sh | stub bash 5
    echo /usr/bin/kill | stub util-linux 2
    stub systemd "$5" </dev/null
    createrepo_c --quiet "$system"
}

# Resolves, downloads and checks a transaction with our packages, in a root of its own.
resolves() { # system, packages...
    local name=$1
    shift
    mkdir -p "$work/root-$name"
    if dnf -y --quiet --installroot="$work/root-$name" --releasever=9 --setopt=reposdir=/nonexistent --setopt=cachedir="$work/cache-$name" \
        --setopt=install_weak_deps=True --nogpgcheck --downloadonly --repofrompath="stubs,file://$work/systems/$name" --repofrompath="ours,file://$work/ours" \
        install "$@" >"$work/log" 2>&1; then pass "dnf resolves $* on $name"; else fail "dnf cannot resolve $* on $name: $(cat "$work/log")"; fi
}

dnf_resolves() {
    local name
    have dnf && have createrepo_c || { without "dnf and createrepo_c"; return; }
    mkdir -p "$work/ours"
    cp "$work"/one/*.rpm "$work/ours/"
    createrepo_c --quiet "$work/ours"
    system el9 2.34 3.4.29 1.3.13 252
    system fedora 2.41 3.4.33 1.3.15 257
    system leap 2.38 3.4.33 1.3.15 254
    for name in el9 fedora leap; do
        resolves $name etcd-appliance
        resolves $name etcd-admin
        resolves $name etcd-appliance etcd-appliance-client etcd-appliance-debuginfo etcd-admin-debuginfo
    done
    # What the stubs are for: a system with an older glibc is refused.
    system el8 2.28 3.4.25 1.3.11 239
    if dnf -y --quiet --installroot="$work/root-el8" --releasever=8 --setopt=reposdir=/nonexistent --setopt=cachedir="$work/cache-el8" --nogpgcheck --downloadonly \
        --repofrompath="stubs,file://$work/systems/el8" --repofrompath="ours,file://$work/ours" install etcd-appliance >"$work/log" 2>&1; then
        fail "dnf resolves etcd-appliance on a system with glibc 2.28"
    else
        grep -q 'GLIBC_2\.[0-9]* *.*needed by\|nothing provides' "$work/log" && pass "dnf refuses a system with glibc 2.28" || fail "dnf on el8: $(cat "$work/log")"
    fi
}
