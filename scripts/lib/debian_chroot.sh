# Sourced by test-deb, test-install and test-arm: a fresh Debian in a folder, for this or another processor. Needs root.
# qemu runs programs for another processor and emulates the core of a Raspberry Pi Zero 2 W.

arch=               # its processor
root=               # its folder
cpuinfo=/proc/cpuinfo # its /proc/cpuinfo

# prepare_processor ARCH FOLDER: install what programs for ARCH need; FOLDER receives temporary files.
prepare_processor() {
    arch=$1
    need_packages mmdebstrap
    [ "$arch" != "$(dpkg --print-architecture)" ] || return 0
    need_packages qemu-user-static arch-test
    arch-test "$arch" >/dev/null || die "this machine can't run programs for $arch; is binfmt_misc mounted?"
    export QEMU_CPU=cortex-a53
    # qemu shows the cpuinfo of the host, which the interpreter's kernels don't understand.
    cpuinfo=$2/cpuinfo
    printf '%s\t: %s\n' processor 0 Features 'fp asimd evtstrm crc32 cpuid' 'CPU implementer' 0x41 \
        'CPU architecture' 8 'CPU variant' 0x0 'CPU part' 0xd03 'CPU revision' 4 >"$cpuinfo"
}

# make_debian SUITE FOLDER PACKAGE,…: create it from the mirror of this machine's apt.
make_debian() {
    local mirror
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' |
        grep -v security | head -n 1)
    root=$2
    say "creating a Debian $1 for $arch"
    mmdebstrap --quiet --mode=root --architectures="$arch" --variant=minbase --include="$3" \
        --skip=cleanup/apt/lists "$1" "$root" "$mirror"
}

# Give it access to the package index like this machine's.
lend_network() {
    cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
    install -D -m 0644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
    [ ! -e /etc/pip.conf ] || cp -L /etc/pip.conf "$root/etc/"
}

# Run a command in it, with temporary mounts of /proc, /sys and /dev.
inside() {
    # shellcheck disable=SC2016  # the inner shell expands these
    unshare --mount sh -c 'mount -t proc proc "$1/proc" && mount --bind "$0" "$1/proc/cpuinfo" &&
        mount -t sysfs -o ro sys "$1/sys" && mount --rbind /dev "$1/dev" && exec chroot "$@"' \
        "$cpuinfo" "$root" env -i ${QEMU_CPU:+QEMU_CPU=$QEMU_CPU} PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
}
