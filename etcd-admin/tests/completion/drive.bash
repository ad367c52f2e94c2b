# Prints the words that bash completes LINE with: bash drive.bash SCRIPT LINE
source "$1" || exit 9
read -ra words <<<"$2"
[[ $2 == *" " ]] && words+=("")
COMP_WORDS=("${words[@]}")
COMP_CWORD=$((${#words[@]} - 1))
function=$(complete -p "${words[0]}" | sed 's/.*-F \([^ ]*\).*/\1/')
"$function" "${words[0]}" "${words[COMP_CWORD]}" "${words[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
