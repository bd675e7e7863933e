# Sourced by scripts/device-box: builds the machine's kernel modules and image, or finds them in the cache.
# Uses the mirror of this machine's apt and the package index of its pip.

release=trixie
parts=scripts/device_box
cache=${EDGE_DAEMON_BOX_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/edge-daemon-box}

# list FILE: the lines without comments.
list() { grep -v '^#' "$1"; }

# digest FILE...: short hash of names and contents, folders included.
digest() { find "$@" -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c1-12; }

mirror() {
    local uri
    # shellcheck disable=SC2016
    uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | head -n 1)
    [ -n "$uri" ] || die "apt on this machine knows no mirror of Debian; add one to its sources, and run apt-get update"
    echo "$uri"
}

# The current kernel version of the release, for which the modules are built.
kernel_version() {
    local apt="$cache/apt"
    mkdir -p "$apt/lists/partial" "$apt/archives/partial"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(mirror) $release main" >"$apt/sources.list"
    local options=(-o "Dir::State::lists=$apt/lists" -o "Dir::Cache=$apt" -o "Dir::Etc::sourcelist=$apt/sources.list"
        -o Dir::Etc::sourceparts=/dev/null -o Dir::State::status=/dev/null -o APT::Architecture=amd64 -o APT::Sandbox::User=root)
    [ -z "$(find "$apt/updated" -mtime -1 2>/dev/null)" ] &&
        apt-get "${options[@]}" -qq update && touch "$apt/updated"
    apt-cache "${options[@]}" depends linux-image-amd64 | sed -n 's/^ *Depends: linux-image-//p' | head -n 1
}

# bootstrap ROOT PACKAGES HOOKS...: create a root file system of the release in a new folder.
bootstrap() {
    local root=$1 packages=$2 log=$work/bootstrap.log
    shift 2
    mmdebstrap --quiet --mode=root --variant=minbase --format=directory --include="$(list "$packages" | paste -sd,)" \
        --aptopt='APT::Install-Recommends "false"' --dpkgopt=force-unsafe-io \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
        "$@" "$release" "$root" "deb $(mirror) $release main" >"$log" 2>&1 || {
        tail -n 40 "$log" >&2
        die "the Debian root could not be created"
    }
}

# wheels REQUIREMENTS FOLDER: download wheels for the Python of the machine.
wheels() {
    local platform tags=()
    for platform in manylinux_2_28 manylinux_2_27 manylinux_2_17 manylinux2014; do
        tags+=(--platform "${platform}_x86_64")
    done
    "$python" -m pip download -qq --disable-pip-version-check --no-deps --only-binary=:all: \
        --python-version 3.13 --implementation cp "${tags[@]}" --platform any --dest "$2" --requirement "$1"
}

# Kernel modules and the wheels that need a compiler, in $1.
build_compiled() {
    say "building kernel modules and wheels for $kernel (a few minutes)"
    mkdir "$work/sources"
    "$python" -m pip download -qq --disable-pip-version-check --no-deps --no-binary=:all: \
        --dest "$work/sources" --requirement "$parts/requirements/sources.txt"
    mkdir "$work/compiled"
    bootstrap "$work/build-root" "$parts/build-packages.txt" \
        --customize-hook='mkdir "$1/box"' \
        --customize-hook="copy-in $parts/in_root/compile $work/sources/. /box" \
        --customize-hook='chroot "$1" /box/compile'
    mv "$work"/build-root/box/{modules,wheels} "$work/compiled/"
    rm -r "$work/build-root"
    mv -T "$work/compiled" "$1"
}

# Kernel, first file system and image of the machine, in $1; the compiled parts are in $2.
build_image() {
    say "building the machine's image with Linux $kernel (a few minutes)"
    mkdir -p "$work/box" "$work/image"
    cp -R "$2/modules" "$parts/overlay" "$parts/in_root/finish" "$work/box/"
    wheels "$parts/requirements/system.txt" "$work/box/system"
    wheels "$parts/requirements/wheelhouse.txt" "$work/box/wheelhouse"
    cp "$2"/wheels/*.whl "$work/box/system/"
    bootstrap "$work/root" "$parts/packages.txt" \
        --customize-hook='mkdir "$1/box"' \
        --customize-hook="sync-in $work/box /box" \
        --customize-hook='chroot "$1" /box/finish && rm -r "$1/box"'
    mv "$work/root/boot/vmlinuz-$kernel" "$work/image/vmlinuz"
    mv "$work/root/boot/initrd.img-$kernel" "$work/image/initrd"
    mke2fs -q -t ext4 -d "$work/root" "$work/image/root.ext4" 2G
    rm -r "$work/root"
    mv -T "$work/image" "$1"
}

# Set $image to a folder with vmlinuz, initrd and root.ext4; build what the cache has not.
build() {
    need_packages mmdebstrap qemu-system-x86 qemu-utils e2fsprogs zstd debian-archive-keyring
    python=$(find_python)
    mkdir -p "$cache"
    exec 9>"$cache/lock"
    flock 9
    kernel=$(kernel_version)
    [ -n "$kernel" ] || die "the mirror has no kernel for Debian's $release"
    local compiled
    compiled=$cache/compiled-$kernel-$(digest "$parts"/{build-packages.txt,requirements/sources.txt,in_root/compile})
    image=$cache/image-$kernel-$(digest "$parts"/{build-packages.txt,packages.txt,requirements,in_root,overlay})
    [ -d "$compiled" ] || build_compiled "$compiled"
    [ -d "$image" ] || build_image "$image" "$compiled"
    # A running machine may use another image. The image of this command is kept until it ends.
    exec 8>"$cache/used"
    flock --nonblock 8 &&
        find "$cache" -mindepth 1 -maxdepth 1 -name '*-*' ! -path "$compiled" ! -path "$image" -exec rm -rf {} +
    flock --shared 8
    exec 9>&-
}
