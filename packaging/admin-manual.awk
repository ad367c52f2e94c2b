#!/usr/bin/awk -f
# Makes a short etcd-admin(8) of `etcd-admin --help`, for a tool that does not write its manual itself.
function escaped(text) { gsub(/\\/, "\\e", text); gsub(/-/, "\\-", text); return text }
BEGIN {
    printf ".TH ETCD\\-ADMIN 8 \"%s\" \"etcd\\-admin %s\" \"System administration\"\n", date, version
    print ".SH NAME\netcd\\-admin \\- operate an etcd cluster"
    print ".SH SYNOPSIS\n.B etcd\\-admin\n.RI [ options ]\n.I command\n.SH DESCRIPTION"
}
NR == 1 { print escaped($0) "."; print "Each command tells its own options with \\-\\-help." }
/^Commands:/ { print ".SH COMMANDS"; in_list = 1; next }
/^Options:/ { print ".SH OPTIONS"; in_list = 1; next }
/^$/ { in_list = 0 }
in_list { line = $0; sub(/^ +/, "", line); at = match(line, /  +/); print ".TP\n.B " escaped(substr(line, 1, at - 1)) "\n" escaped(substr(line, at + RLENGTH)) }
END { print ".SH SEE ALSO\n.BR etcd\\-server (8)" }
