# Sourced by install: the installed versions in /opt/edge-daemon, each in a separate environment `venv.XXXXXX`.
# The symlink `venv` leads to the version in use, `previous` to the one before it. Symlinks are replaced atomically.

target=$DESTDIR/opt/edge-daemon
config=$DESTDIR/etc/edge_daemon/config.yaml
state=$DESTDIR/var/lib/edge_daemon
cache=$DESTDIR/var/cache/edge_daemon
unit=edge-daemon.service

# systemd_runs: true if systemd is the init process, not only installed.
systemd_runs() { [ -d "$DESTDIR/run/systemd/system" ]; }

# set_link LINK PROGRAM: replace the symlink atomically.
set_link() {
    ln -sfn "${2##*/}" "$target/.$1"
    mv -T "$target/.$1" "$target/$1"
}

# program_of LINK: print the path that it leads to; nothing if it does not exist.
program_of() {
    [ ! -L "$target/$1" ] || printf '%s/%s\n' "$target" "$(readlink "$target/$1")"
}

# Earlier installers created a folder in place of the link; make it a version like the others.
adopt_folder() {
    [ -d "$target/venv" ] && [ ! -L "$target/venv" ] || return 0
    local adopted
    adopted=$(mktemp -d "$target/venv.XXXXXX")
    chmod 0755 "$adopted"
    mv -T "$target/venv" "$adopted"
    write_launcher "$adopted" "$(sed -n 's/^version = \([0-9]*\.[0-9]*\).*/\1/p' "$adopted/pyvenv.cfg")"
    set_link venv "$adopted"
}

# discard PROGRAM: remove it unless it is in use.
discard() {
    [ "$(program_of venv)" = "$1" ] || rm -rf "$1"
    rmdir --ignore-fail-on-non-empty "$target"
}

# remove_unused: remove versions without a link, also of interrupted installations.
remove_unused() {
    local folder
    for folder in "$target"/venv.*; do
        [ "$folder" = "$(program_of venv)" ] || [ "$folder" = "$(program_of previous)" ] || rm -rf "$folder"
    done
}

# same_program PROGRAM OTHER: true if both have the same code and packages, as after an upgrade that is repeated.
same_program() {
    diff -rq -x __pycache__ "$1"/lib/python*/site-packages/edge_daemon "$2"/lib/python*/site-packages/edge_daemon \
        >/dev/null 2>&1 && [ "$(packages_of "$1")" = "$(packages_of "$2")" ]
}

packages_of() { (cd "$1"/lib/python*/site-packages && printf '%s\n' *.dist-info); }

# write_launcher PROGRAM VERSION: the command that systemd and users start. A shell script, because an upgrade of Debian
# can replace the system's Python, without which only this file works.
write_launcher() {
    rm -f "$1/bin/edge-daemon"
    cat >"$1/bin/edge-daemon" <<END
#!/bin/sh
python=$1/bin/python
system=\$(readlink -f $DESTDIR/usr/bin/python3)
if [ "\${system##*/}" != python$2 ]; then
    echo "edge-daemon: the program was installed for Python $2, and this system's is \${system##*/} now;" \\
        "run \\\`sudo scripts/install\\\` again, which builds it for that one" >&2
    "\$python" -I -c 'import edge_daemon, numpy' 2>/dev/null || exit 1
fi
exec "\$python" -P -m edge_daemon "\$@"
END
    chmod 0755 "$1/bin/edge-daemon"
}

# as_service COMMAND…: run it with the user, folders and secrets of the service.
as_service() {
    local environment=(STATE_DIRECTORY="$state" CACHE_DIRECTORY="$cache" OPENBLAS_NUM_THREADS=1)
    if systemd_runs; then
        systemd-run --quiet --wait --pipe --collect -p User=edge-daemon -p Group=edge-daemon \
            -p StateDirectory=edge_daemon -p CacheDirectory=edge_daemon -p WorkingDirectory=/ \
            -p LoadCredential=edge:/etc/edge_daemon/credentials "${environment[@]/#/--setenv=}" -- "$@"
    else
        local lent code=0
        lent=$(lend_credentials)
        (cd / && exec setpriv --reuid=edge-daemon --regid=edge-daemon --init-groups \
            env "${environment[@]}" CREDENTIALS_DIRECTORY="$lent" "$@") || code=$?
        rm -rf "$lent"
        return $code
    fi
}

# lend_credentials: copy the secrets into a folder of the service's user, as LoadCredential= does; print its path.
lend_credentials() {
    local lent file
    lent=$(mktemp -d)
    for file in "$DESTDIR"/etc/edge_daemon/credentials/*; do
        [ ! -f "$file" ] || cp "$file" "$lent/edge_${file##*/}"
    done
    chown -R edge-daemon: "$lent"
    printf '%s\n' "$lent"
}

# choose_model PROGRAM: write the model that it recommends for this board into the configuration, if its file can be
# downloaded. Otherwise the shipped model is used.
choose_model() {
    say "choosing the model for this board"
    mkdir -p "$state"
    chown edge-daemon: "$state"
    STATE_DIRECTORY="$state" PIP_RETRIES="${PIP_RETRIES:-1}" timeout 300 \
        "$1/bin/edge-daemon" models recommend --use --config "$config" 2>&1 | sed 's/^/    /' ||
        say "warning: no model was chosen; the shipped one is used"
}

# refuse_if_worse PROGRAM: end with one line if it fails with this configuration and these examples, and the program in
# use does not. A fault of both is accepted, unless the service runs in spite of it.
refuse_if_worse() {
    local current output
    current=$(program_of venv)
    if ! output=$(as_service "$1/bin/edge-daemon" run --check --config "$config" 2>&1 >/dev/null); then
        output=${output##*$'\n'}
        output=${output#edge-daemon: }
        if [ -n "$current" ] && { service_is active || as_service "$current/bin/edge-daemon" config check --config "$config" >/dev/null 2>&1; }; then
            die "this program would not start: $output; nothing is changed, and the one in use stays"
        fi
        say "warning: the service will not start: $output"
    fi
    [ -z "$current" ] || compare_doctors "$1" "$current"
}

# compare_doctors PROGRAM CURRENT: end with one line if a check fails with PROGRAM only. Only checks that depend on the
# program count: a running service holds camera and pins, and supply and network may change.
compare_doctors() {
    local new old check
    new=$(ask_doctor "$1")
    old=$(ask_doctor "$2")
    for check in config python model store fleet; do
        grep -qE "^\{\"check\": \"$check\", \"state\": \"failed\"" <<<"$new" || continue
        grep -qE "^\{\"check\": \"$check\", \"state\": \"(ok|warning)\"" <<<"$old" || continue
        die "this program's doctor finds a fault that the doctor of the one in use does not: $check:" \
            "$(sed -n "s/^{\"check\": \"$check\".*\"detail\": \"\(.*\)\", \"hint\".*/\1/p" <<<"$new"); nothing is changed"
    done
}

ask_doctor() {
    as_service "$1/bin/edge-daemon" doctor --json --skip camera --skip gpio --skip broker --config "$config" 2>/dev/null || true
}

service_is() { systemd_runs && systemctl --quiet "is-$1" "$unit" 2>/dev/null; }

# is_stopped: true if the service's owner has stopped or disabled it; it can fail while it stops. An enabled one that has
# not run since the boot is that of an interrupted first installation.
is_stopped() {
    systemd_runs || return 1
    case "$(systemctl is-active "$unit" 2>/dev/null)" in
        inactive)
            ! service_is enabled ||
                [ "$(systemctl show --property=InactiveEnterTimestampMonotonic --value "$unit")" != 0 ]
            ;;
        failed) ! service_is enabled ;;
        *) false ;;
    esac
}
stays_stopped=false

# put_in_place PROGRAM: set the links and start it, unless the service was stopped. If the new program does not become
# ready, a service that was running is started again with its previous program.
put_in_place() {
    local current previous reason
    current=$(program_of venv)
    previous=$(program_of previous)
    [ -z "$current" ] || ! is_stopped || stays_stopped=true
    sync -f "$1" # on disk before the link: the power may fail at any time
    # After an upgrade that was repeated, the way back leads to the program before it.
    if [ -z "$previous" ] || [ "$1" = "$previous" ] || ! same_program "$1" "$current"; then
        [ -z "$current" ] || set_link previous "$current"
    fi
    if ! switch_to "$1"; then
        reason=$(journalctl --quiet --unit "$unit" --lines 20 --output cat 2>/dev/null | grep '^edge-daemon: ' | tail -n 1) || true
        if [ -n "$previous" ]; then set_link previous "$previous"; else rm -f "$target/previous"; fi
        switch_to "$current" || die "neither this program nor the one before it starts: ${reason:-see journalctl -u $unit}"
        die "this program did not start, and the one before it runs again: ${reason#edge-daemon: }"
    fi
    remove_unused
    ! $stays_stopped ||
        say "the service was stopped and stays so; start it: sudo systemctl enable --now edge-daemon"
}

# switch_to PROGRAM: false if the service was running and does not become ready. A first installation enables the service
# before the link is set: if it is interrupted, the next one is the first again.
switch_to() {
    local ran=false
    ! service_is active || ran=true
    [ ! -d "$1/systemd" ] || install -D -m 0644 "$1/systemd/$unit" "$DESTDIR/etc/systemd/system/$unit"
    [ -n "$(program_of venv)" ] || systemctl enable "$unit"
    set_link venv "$1"
    ln -sfn "$target/venv/bin/edge-daemon" "$DESTDIR/usr/local/bin/edge-daemon"
    sync -f "$target" "$DESTDIR/etc" # a power cut must not leave an empty unit, which would be masked
    systemd_runs || return 0
    systemctl daemon-reload
    if $ran; then systemctl restart "$unit"; elif ! $stays_stopped; then systemctl restart --no-block "$unit"; fi
}
