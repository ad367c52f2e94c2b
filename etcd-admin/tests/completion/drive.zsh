# Prints the words that zsh completes LINE with: zsh -f drive.zsh DIRECTORY-OF-THE-SCRIPTS LINE
zmodload zsh/zpty || exit 9
directory=$1 line=$2 hits=$(mktemp) init=$(mktemp)
cat > $init <<END
PROMPT= ; fpath=($directory \$fpath)
autoload -Uz compinit; compinit -u -D
zstyle ":completion:*" menu no
compadd () {
    if [[ \${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then builtin compadd "\$@"; return; fi
    typeset -a found
    builtin compadd -A found "\$@"
    (( \$#found )) && print -rl -- \$found >> $hits
}
report () { zle complete-word; print DONE >> $hits; exit }
zle -N report
bindkey "^X" report
print READY >> $hits
END
wait_for () { repeat 2000; do grep -q $1 $hits && return; sleep 0.01; zpty -rt z _ ; done }
zpty z zsh -f -i
zpty -w z "source $init"
wait_for READY
zpty -n -w z "$line"$'\x18'
wait_for DONE
grep -v -e READY -e DONE $hits
rm -f $hits $init
