#!/bin/sh
# Put one lock and this project into .venv, once; the lock test-image into .venv-image, which stays apart.
#                                                           usage: requirements/install.sh demo|dev|bench|test-image
# Copies of what was installed stay in its folder `installed`; the next call compares them and has nothing to do. The dev
# lock contains the demo lock (tests/test_packaging.py), so either use finds what it needs after `dev`; `bench` goes on top of
# `dev`, whose versions it has.
# PYTHON names the Python to build with; without it the first of python3, python3.12, python3.11 that fits (for test-image
# python3.12 comes first: AWS's image has it).
set -eu
cd "$(dirname "$0")/.."
lock=$1 asked=${PYTHON:-} venv=.venv pythons='python3 python3.12 python3.11'
[ "$lock" != test-image ] || { venv=.venv-image pythons='python3.12 python3 python3.11'; }
state=$venv/installed log=$venv/install.log
never_imported='tests?|alembic|databricks|fontTools|geodata|hive_metastore|matplotlib|mlflow|mypy|mypyc|opentelemetry|pip|sqlalchemy'

release() { # 3.12.1, or nothing where it does not run
    "$1" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null || true
}

is_usable() { # not where the folder was moved, since a venv holds its own path, nor where another Python is asked for
    [ "$(cat $state/place 2>/dev/null)" = "$PWD" ] && cmp -s requirements/installer.lock $state/installer.lock || return 1
    built_with=$(release $venv/bin/python)
    [ -n "$built_with" ] && { [ -z "$asked" ] || [ "$built_with" = "$(release "$asked")" ]; }
}

holds() {
    cmp -s "requirements/$1.lock" "$state/$1.lock"
}

refuse() {
    echo "$1" >&2
    exit 2
}

find_python() { # sets python
    for python in ${asked:-$pythons}; do
        case $(release "$python") in
            3.11.[0-3]) ;;
            3.11.* | 3.12.*) return ;;
        esac
    done
    python=${asked:-python3} found=$(release "$python")
    refuse "Python 3.12, or 3.11 from 3.11.4, is needed; $python here is ${found:-missing}. Fix: install one and name it: make test PYTHON=python3.12"
}

pip_install() {
    PIP_USER=0 $venv/bin/python -m pip install --disable-pip-version-check --progress-bar off --no-deps "$@"
}

install_packages() {
    # A current pip first: it needs half the time of the one that venv brings.
    [ -x $venv/bin/pip ] || "$python" -m venv $venv &&
        pip_install --require-hashes --only-binary :all: -r requirements/installer.lock &&
        pip_install --require-hashes --only-binary :all: --no-compile -r "requirements/$lock.lock" &&
        # Bytecode in half of pip's time: on all cores, and not of what no run imports. Not left to the first import, since
        # PYTHONDONTWRITEBYTECODE is common in images: every step would compile again, and warn of the sources' faults.
        $venv/bin/python -W ignore -m compileall -q -j 0 -x "/($never_imported)/" $venv/lib/python3*/site-packages
}

install_project() {
    pip_install --no-build-isolation --editable .
}

logged() {
    "$@" >>$log 2>&1 || {
        printf '\n' >&2
        tail -n 30 $log >&2
        refuse "The installation failed; all of its output is in $log."
    }
}

if is_usable && { holds "$lock" || { [ "$lock" = demo ] && holds dev; }; }; then
    if ! cmp -s pyproject.toml $state/pyproject.toml; then
        logged install_project
        cp pyproject.toml $state/
    fi
    exit 0
fi

below= # what the lock goes on top of and leaves as it is
if [ "$lock" = bench ]; then
    is_usable && holds dev || refuse "The bench lock goes on top of the dev lock. Fix: make install-bench, which installs both."
    below=requirements/dev.lock
elif ! { is_usable && [ "$lock" = dev ] && holds demo; }; then
    find_python
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        refuse "$python has no venv module. Fix: apt-get install $(basename "$python")-venv  (Debian, Ubuntu), then the same command again."
    rm -rf $venv
fi
mkdir -p $venv
rm -rf $state # back only when all is in place, so that an interrupted installation begins anew
began=$(date +%s)
printf 'installing once into %-11s' $venv >&2
logged install_packages
logged install_project
mkdir $state
cp requirements/installer.lock "requirements/$lock.lock" $below pyproject.toml $state/
printf '%s\n' "$PWD" >$state/place
printf '%36s\n' "$(($(date +%s) - began)) s" >&2
