#!/usr/bin/env bash
# install-autobahn.sh DIRECTORY: installs the Autobahn test suite for WebSockets there, as DIRECTORY/bin/wstest.
# The suite needs Python 2.7. PYTHON2=/path/to/python2.7 names one. Without it, the script looks in the PATH and in the
# folders of pyenv.
set -euo pipefail

directory=$1
version=25.10.1

find_python2() {
    local candidate
    for candidate in "${PYTHON2:-}" python2.7 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/2.7.*/bin/python2.7; do
        if [ -n "$candidate" ] && "$candidate" -m pip --version >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

if [ -x "$directory/bin/wstest" ]; then
    exit
fi
if ! python2=$(find_python2); then
    echo "The Autobahn suite is left out: it needs Python 2.7 with pip, as pyenv install 2.7.18 makes it" >&2
    echo "(or PYTHON2=/path/to/python2.7)." >&2
    exit
fi
echo "Installing the Autobahn suite into $directory ..."
PYTHONUSERBASE=$(realpath -m "$directory") "$python2" -m pip install --user -qq --no-warn-script-location \
    --disable-pip-version-check "autobahntestsuite==$version"
