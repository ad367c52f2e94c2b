#!/usr/bin/awk -f
# Makes etcd-server(8) of `etcd-server --help`: a section for each group of flags, a paragraph for each flag.
function escaped(text) { gsub(/\\/, "\\e", text); gsub(/-/, "\\-", text); sub(/^[.']/, "\\\\\\&&", text); return text }
BEGIN {
    printf ".TH ETCD\\-SERVER 8 \"%s\" \"etcd\\-server %s\" \"System administration\"\n", date, version
    print ".SH NAME\netcd\\-server \\- member of an etcd cluster"
    print ".SH SYNOPSIS\n.B etcd\\-server\n.RI [ flags ]\n.br\n.B etcd\\-server \\-\\-config\\-file\n.I FILE"
    print ".SH DESCRIPTION\nServes etcd's version 3 API to clients and speaks etcd's protocol with the other members of its cluster."
    print "Every flag can be given as a variable too: ETCD_ and its name in upper case, with underscores. A file of settings uses the"
    print "names without the dashes; flags and variables count for nothing beside it. Durations are written 300ms, 5s, 1h30m;"
    print "lists are separated by commas."
}
/^[A-Z][A-Za-z ]*:$/ && !/^Usage/ { in_flags = 1; name = toupper($0); sub(/:$/, "", name); print ".SH " name; next }
!in_flags { next }
/^  --/ { flag = $1; value = $0; sub(/^ *[^ ]+ */, "", value); print ".TP\n.BR " escaped(flag) " \" " escaped(value) "\""; first = 1; next }
/^    / { text = $0; sub(/^ +/, "", text); if (!first) print ".br"; first = 0; print escaped(text) }
END {
    print ".SH SIGNALS\n.TP\nSIGTERM\nHands leadership over, makes the state durable and ends."
    print ".TP\nSIGHUP\nReads certificates, authorities, revocation lists and the keys of tokens again."
    print ".SH EXIT STATUS\n.TP\n0\nA clean stop, or the member was removed from its cluster.\n.TP\n1\nSomething failed; the last line of the log says what."
    print ".TP\n2\nThe command line could not be read."
    print ".TP\n78\nAs a service: the settings, or a file that they name, cannot be used. Started by hand that is 1, as with etcd."
    print ".SH FILES\n.TP\n/etc/etcd/etcd.yaml\nThe settings of the packaged service, which does not start without it."
    print ".TP\n/etc/etcd/pki\nCertificates and keys, 0640 root:etcd.\n.TP\n/var/lib/etcd\nThe data, 0700 etcd:etcd."
    print ".SH SEE ALSO\n.BR etcd\\-admin (8),\n.BR systemctl (1)"
}
