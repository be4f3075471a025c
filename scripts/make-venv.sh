#!/usr/bin/env bash
# make-venv.sh DIRECTORY REQUIREMENTS: makes a virtual environment with Python 3.11 or newer, and installs the requirements
# into it. A working environment is kept. One in which an earlier call was killed is made again: it may hold half of a package.
# PYTHON=python3.12 chooses the interpreter. The default is the first one that is new enough.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/packages.sh"

venv=$1
requirements=$2
unfinished=$venv/.unfinished
candidates=${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}

recent() { # recent PYTHON MODULE...: is it new enough, and does it have these modules?
    local python=$1
    shift
    "$python" -c "import sys $(printf ', %s' "$@"); sys.exit(sys.version_info < (3, 11))" 2>/dev/null
}

find_python() { # find_python MODULE...: prints the first candidate that has them
    local candidate
    for candidate in $candidates; do
        if recent "$candidate" "$@"; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

install_python() { # Debian and Ubuntu keep venv's pip in a package of its own
    local found
    if found=$(find_python venv); then
        install_packages "The venv module of Python" \
            "$("$found" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
    else
        command -v python3 >/dev/null || install_packages "Python 3.11 or newer" python3 python3-venv
        recent python3 venv || install_packages "Python 3.11 or newer" python3.11 python3.11-venv
    fi
}

if [ -e "$unfinished" ] || ! recent "$venv/bin/python" pip; then
    find_python venv ensurepip >/dev/null || install_python
    python=$(find_python venv ensurepip) ||
        give_up "Python 3.11 or newer is needed, with its venv module. If it is somewhere else:  make PYTHON=/path/to/python3"
    "$python" -m venv --clear "$venv"
fi
touch "$unfinished"
echo "Installing the packages of $requirements into $venv:"
# Python compiles what it imports. To compile all of it now would take half of the time, and most of it is never imported.
"$venv/bin/python" -m pip install --no-compile --disable-pip-version-check -r "$requirements" |
    sed -un -e 's/^Collecting \([^ ]*\).*/  \1/p' -e 's|^Processing .*/\([^-/]*\)-\([^-/]*\)-[^/]*whl.*|  \1==\2|p' \
        -e 's/^Installing collected packages.*/  unpacking .../p'
echo "Installed $(du -sm "$venv" | cut -f1) MB after $SECONDS s."
rm "$unfinished"
