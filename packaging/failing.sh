# shellcheck shell=bash
# Sourced: an end that nobody meant says which command it was, where, and on whose behalf. In functions and subshells, too.
set -E
trap 'echo "${BASH_SOURCE[0]##*/}: line $LINENO: \"$BASH_COMMAND\" ended with $? (in ${FUNCNAME[*]:-no function}, lines ${BASH_LINENO[*]})" >&2' ERR
