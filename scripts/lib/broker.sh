# Sourced by install: mosquitto on this machine as the broker of the service.
# Its configuration is one file, conf.d/edge-daemon.conf; files of others are not changed.

mosquitto=$DESTDIR/etc/mosquitto
broker_file=$mosquitto/conf.d/edge-daemon.conf
broker_user=edge
broker_port=1883
password_file=$DESTDIR/etc/edge_daemon/credentials/mqtt-password
broker_password= # the one that was typed

# ask_for_broker: print loopback or lan, as the person at the terminal decides.
ask_for_broker() {
    local answer
    [ -t 0 ] || die "--with-broker asks a question, and there is no terminal; give --with-broker=loopback (this machine" \
        "only) or --with-broker=lan (other machines too, with a password)"
    read -rp "May other machines connect to the broker, such as Home Assistant? [y/N] " answer || refuse_no_answer
    case "$answer" in
        [yYjJ]*) echo lan ;;
        *) echo loopback ;;
    esac
}

# refuse_no_answer: end after Ctrl-D at a question.
refuse_no_answer() {
    echo >&2 # behind the question
    die "the question was not answered; nothing is changed"
}

# ask_for_password: set broker_password to what is typed twice; empty if one is to be made, or is on disk already.
ask_for_password() {
    local again
    [ -t 0 ] && [ ! -e "$password_file" ] || return 0
    while true; do
        IFS= read -rsp "Password of the broker's user '$broker_user' (empty: one is made): " broker_password ||
            refuse_no_answer
        echo
        [ -n "$broker_password" ] || return 0
        IFS= read -rsp "Once more: " again || refuse_no_answer
        echo
        [ "$broker_password" != "$again" ] || return 0
        echo "The two differ."
    done
}

# refuse_other_broker: end with one line if mosquitto is set up by someone else, or another program has the port.
refuse_other_broker() {
    local found holder
    found=$(grep -HnsE '^[[:space:]]*(listener|port|bind_address|allow_anonymous|password_file|acl_file|psk_file|(auth_)?plugin|per_listener_settings)[[:space:]]' \
        "$mosquitto/mosquitto.conf" $(find "$mosquitto/conf.d" -name '*.conf' ! -path "$broker_file" 2>/dev/null | sort) | head -n 1) || true
    [ -z "$found" ] || die "mosquitto is set up already and stays as it is ($found); run this without --with-broker, and" \
        "write that broker's user and password into $config: docs/brokers.md"
    [ ! -e "$mosquitto/mosquitto.conf" ] || grep -qE "^[[:space:]]*include_dir[[:space:]]+/etc/mosquitto/conf.d/?[[:space:]]*$" "$mosquitto/mosquitto.conf" ||
        die "$mosquitto/mosquitto.conf does not include /etc/mosquitto/conf.d, where this script writes; add the line" \
            "'include_dir /etc/mosquitto/conf.d'"
    if port_is_taken "$broker_port" && ! mosquitto_runs; then
        holder=$(ss -Hltnp "sport = :$broker_port" 2>/dev/null | sed -n 's/.*users:(("\([^"]*\)".*/\1/p' | head -n 1) || true
        die "port $broker_port is taken by ${holder:-another program}; to use it as the broker, run this without" \
            "--with-broker, else stop it first"
    fi
}

mosquitto_runs() {
    if systemd_runs; then systemctl --quiet is-active mosquitto; else grep -qsx mosquitto "$DESTDIR"/proc/[0-9]*/comm; fi
}

# port_is_taken PORT: true if a program listens at it, at any address.
port_is_taken() {
    { cat "$DESTDIR/proc/net/tcp" "$DESTDIR/proc/net/tcp6" 2>/dev/null || true; } |
        awk -v port="$(printf ':%04X' "$1")" 'substr($2, length($2) - 4) == port && $4 == "0A" { found = 1 } END { exit !found }'
}

# set_up_broker MODE PROGRAM: install mosquitto for loopback or lan, and write its address into the configuration.
set_up_broker() {
    local settings=(mqtt.host=localhost "mqtt.port=$broker_port") before
    say "setting up the broker for ${1/lan/other machines too}"
    need_packages mosquitto mosquitto-clients
    mkdir -p "$mosquitto/conf.d"
    before=$(mktemp -d)
    cp "$broker_file" "$before/broker" 2>/dev/null || true
    cp --preserve=mode,ownership "$config" "$before/config"
    if [ "$1" = lan ]; then
        keep_password
        write_password_file
        settings+=("mqtt.username=$broker_user" mqtt.credential=edge_mqtt-password mqtt.password_file=null)
    fi
    "$2/bin/edge-daemon" config set --config "$config" "${settings[@]}" >/dev/null ||
        die "the broker's address is not in $config; see above"
    write_broker_file "$1"
    start_broker "$before"
    rm -r "$before"
    if [ "$1" = lan ]; then
        say "the broker: port $broker_port of this machine, user '$broker_user'; the password: sudo cat ${password_file#"$DESTDIR"}"
    else
        say "the broker: port $broker_port, for programs on this machine only"
    fi
}

# keep_password: write the typed password, or a random one, into the credential; an existing one stays.
keep_password() {
    [ ! -e "$password_file" ] || return 0
    mkdir -p "$(dirname "$password_file")"
    (umask 077 && printf '%s\n' "${broker_password:-$(head -c 12 /dev/urandom | base64 | tr '+/' '-_')}" >"$password_file")
}

# write_password_file: write mosquitto's hash of the credential.
write_password_file() {
    local hashes=$mosquitto/edge-daemon.passwords password
    password=$("$python" -I -c 'import sys
text = open(sys.argv[1], "rb").read().decode("utf-8-sig").rstrip("\r\n")
if not text or set(text) & set("\0\r\n"):
    sys.exit(1)
sys.stdout.buffer.write(text.encode())' "$password_file" 2>/dev/null) ||
        die "$password_file must hold one line of UTF-8 text, the broker's password"
    rm -f "$hashes.new"
    (umask 077 && printf '%s\n%s\n' "$password" "$password" | mosquitto_passwd -c "$hashes.new" "$broker_user" >/dev/null) ||
        die "mosquitto_passwd does not accept the password in $password_file"
    chown mosquitto: "$hashes.new"
    mv "$hashes.new" "$hashes"
}

write_broker_file() {
    {
        echo "# Written by scripts/install --with-broker=$1, which replaces it when it runs again."
        if [ "$1" = lan ]; then
            echo "listener $broker_port"
            echo "allow_anonymous false"
            echo "password_file ${mosquitto#"$DESTDIR"}/edge-daemon.passwords"
        else
            echo "# Without a listener, mosquitto accepts connections from this machine only."
        fi
        echo "# Without this, small messages are up to 40 ms late."
        echo "set_tcp_nodelay true"
    } >"$broker_file.new"
    chmod 0644 "$broker_file.new"
    mv "$broker_file.new" "$broker_file"
}

# start_broker BEFORE: start it with its new file; if it fails, with the files in the folder BEFORE.
start_broker() {
    if ! systemd_runs; then
        say "systemd is not running here; mosquitto starts at the next boot"
        return
    fi
    systemctl --quiet enable mosquitto || true
    if ! systemctl restart mosquitto; then
        rm "$broker_file"
        [ ! -e "$1/broker" ] || cp "$1/broker" "$broker_file"
        mv "$1/config" "$config"
        systemctl restart mosquitto || true
        die "mosquitto does not start with the new $broker_file; all files are as before:" \
            "$(tail -n 1 "$DESTDIR/var/log/mosquitto/mosquitto.log" 2>/dev/null || echo 'see journalctl -u mosquitto')"
    fi
}
