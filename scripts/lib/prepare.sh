# Sourced by the other scripts: creates .venv and installs missing packages. Safe to repeat.
# Works on Debian 12 and 13 and Raspberry Pi OS, as root or with sudo.

say() { printf '==> %s\n' "$*"; }

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

. "${BASH_SOURCE[0]%/*}/machine.sh"

is_installed() { dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'ok installed'; }

# need_packages PACKAGE…: install missing Debian packages; end with one line if apt can't.
need_packages() {
    local missing=() package
    for package in "$@"; do
        is_installed "$package" || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    say "installing Debian packages: ${missing[*]}"
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || die "run this as root, or install sudo; needed: apt-get install ${missing[*]}"
        as_root=(sudo)
    fi
    "${as_root[@]}" apt-get update -qq || say "warning: apt can't read all of its sources: see above"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
        die "apt can't install ${missing[*]}: see above; is this machine online?"
}

# Print a Python from 3.11 to 3.13; Debian's own if the one on the PATH has another version.
find_python() {
    local candidate
    for candidate in python3 /usr/bin/python3 python3.13 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null &&
            "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    die "Python 3.11, 3.12 or 3.13 is needed; Debian 12 and 13 have one, and Raspberry Pi OS Bookworm and Trixie"
}

# sees_system_packages VENV: true if the environment imports the packages of apt.
sees_system_packages() { grep -q '^include-system-site-packages = true' "$1/pyvenv.cfg"; }

# Packages that a board can't compile.
compiled=ai-edge-litert,lgpio,ml-dtypes,msgspec,numpy,opencv-python-headless,pillow

# install_into VENV REQUIREMENT…: install the versions of packaging/constraints.txt, and keep the system's packages.
# Prints each downloaded file. pip unpacks beside the environment, because /tmp may be in memory.
install_into() {
    local venv constraints=packaging/constraints.txt TMPDIR
    venv=$(realpath --no-symlinks "$1")
    shift
    export TMPDIR=$venv/tmp PIP_ONLY_BINARY=$compiled
    mkdir -p "$TMPDIR"
    local pip=("$venv/bin/python" -I -u -m pip --disable-pip-version-check install)
    if sees_system_packages "$venv"; then
        PIP_CONSTRAINT=$constraints run_pip "${pip[@]}" --quiet --dry-run --ignore-installed \
            --report "$venv/report.json" "$@"
        "$venv/bin/python" -I scripts/lib/hold_system_packages.py "$venv/report.json" "$constraints" >"$venv/held.txt"
        constraints=$(realpath --relative-to=. "$venv/held.txt") # pip splits these variables at spaces
    fi
    # Environment variables apply to the build as well; a later pip has a separate variable for it.
    PIP_CONSTRAINT=$constraints PIP_BUILD_CONSTRAINT=$constraints run_pip "${pip[@]}" --progress-bar off "$@"
    ! sees_system_packages "$venv" || check_system_modules "$venv"
    rm -rf "$TMPDIR"
}

# run_pip COMMAND…: print each downloaded file; if it fails, end with the reason in one line.
run_pip() {
    { "$@" 2>&1 >&3 | tee "$TMPDIR/pip.txt" >&2; } 3>&1 |
        sed -u -n 's|^ *Downloading \([^ ]*/\)\{0,1\}\([^ /]*\) (\(.*\))$|    \2: \3|p' ||
        die "$(explain_pip "$1"); see above"
}

# explain_pip PYTHON: print the reason of a failure, from pip.txt.
explain_pip() {
    local said=$TMPDIR/pip.txt missing
    missing=$(sed -n 's/^ERROR: No matching distribution found for \([A-Za-z0-9._-]*\).*/\1/p' "$said" | tail -n 1)
    if grep -qE 'No space left' "$said"; then
        echo "the disk of $TMPDIR is full"
    elif grep -qE 'connection broken|Max retries|Read timed out' "$said"; then
        echo "the package index can't be reached"
    elif [ -n "$missing" ]; then
        echo "the package index has no $missing for this machine's Python $(python_version "$1") and $(uname -m)"
    else
        echo "pip could not install the program"
    fi
}

# check_system_modules VENV: check that the environment can import the system's modules for camera and GPIO.
check_system_modules() {
    local python base module why outside
    python=$(realpath --no-symlinks "$1/bin/python")
    base=$("$python" -I -c 'import sys; print(sys._base_executable)')
    for module in picamera2 cv2 lgpio; do
        why=$(import_trouble "$python" "$module")
        [ -n "$why" ] || continue
        outside=$(import_trouble "$base" "$module")
        [ -n "$outside" ] || die "$module can't be imported in $1, though it can be outside ($why);" \
            "\`$python -m pip list --local\` shows what lies over the system's packages"
        say "warning: the system's $module can't be imported ($outside), so features that need it don't work; repair it" \
            "with \`sudo apt install --reinstall python3-${module/cv2/opencv}\`"
    done
}

# import_trouble PYTHON MODULE: print the reason why the import fails; nothing if it works or the module is missing.
import_trouble() {
    local said code=0 place
    place=$(mktemp -d) # lgpio leaves a file where it is imported
    said=$(cd "$place" && "$1" -I -c 'import importlib.util, sys
importlib.util.find_spec(sys.argv[1]) and __import__(sys.argv[1])' "$2" 2>&1 </dev/null) || code=$?
    rm -rf "$place"
    [ "$code" -eq 0 ] || printf '%s\n' "${said##*$'\n'}" | sed "s/^$/it ends with code $code/"
}

# prepare_venv EXTRAS: .venv with the project in it, reinstalled only when what it needs changed.
prepare_venv() {
    local extras=$1 python flags=() stamp size='about 55 MB'
    [ "$extras" != dev ] || size='about 200 MB'
    check_processor
    command -v python3 >/dev/null || need_packages python3
    python=$(find_python)
    if on_a_pi; then
        need_packages python3-picamera2 python3-lgpio
        python=/usr/bin/python3
        flags=(--system-site-packages) # picamera2 comes from apt alone, lgpio has no wheel for Python 3.13
        extras="$extras,pi"
    elif sees_system_packages .venv 2>/dev/null; then
        flags=(--system-site-packages)
    fi
    if was_moved .venv || ! .venv/bin/python -c 'import pip' 2>/dev/null; then
        make_venv
    fi
    stamp="$(.venv/bin/python --version) [$extras] $(cat pyproject.toml packaging/constraints.txt | sha256sum | cut -c1-16)"
    if [ "$(cat .venv/installed-for 2>/dev/null)" != "$stamp" ]; then
        # Remove packages that an earlier installation put over the system's.
        [ ${#flags[@]} -eq 0 ] || make_venv
        check_owner
        say "installing edge-daemon[$extras] into .venv; downloads are up to $size:"
        install_into .venv --editable ".[$extras]"
        echo "$stamp" >.venv/installed-for
    fi
    say "ready: $PWD/.venv"
}

# was_moved VENV: true if it was made at another path, as before a move or in a copied checkout: its commands and the
# installed program lead there. A link to an environment elsewhere was not moved.
was_moved() {
    local made
    made=$(sed -n 's/^command = .* -m venv //p' "$1/pyvenv.cfg" 2>/dev/null) || return 1
    made=/${made#*/} # without the options before it
    [ "$made" != / ] && [ "$made" != "$(pwd -P)/$1" ] && [ "$made" != "$(realpath "$1")" ]
}

# End with one line if this user can't write in .venv, as after `sudo scripts/run`.
check_owner() {
    [ ! -e .venv ] || [ -w .venv ] ||
        die "$PWD/.venv belongs to $(stat -c %U .venv); remove it, and run this again: sudo rm -r '$PWD/.venv'"
}

# Create .venv again, with the variables of prepare_venv.
make_venv() {
    check_owner
    "$python" -c 'import ensurepip, venv' 2>/dev/null || need_packages python3-venv
    say "creating .venv with $("$python" --version)"
    "$python" -m venv --clear "${flags[@]}" .venv
}
