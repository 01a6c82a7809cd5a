#!/bin/sh
# Shipping, one process per request: socat hands it a connection as standard input and output.
#
#   GET  /health       200
#   POST /shipments    takes an order, answers with the number of its parcel
#
# Standard output is the connection, so what it logs goes to standard error.

body_max=65536

answer() { # status, reason, body
    printf 'HTTP/1.1 %s %s\r\nContent-Type: application/json\r\nContent-Length: %s\r\nConnection: close\r\n\r\n%s' \
        "$1" "$2" "${#3}" "$3"
    # Health checks are asked every few seconds, and are nothing to tell.
    [ "$path" = /health ] || echo "${method:--} ${path:--} $1" >&2
    exit 0
}

refuse() { # status, reason, what to do about it
    answer "$1" "$2" "{\"service\": \"shipping\", \"error\": \"$3\", \"visited\": [\"shipping\"]}"
}

carriage_return=$(printf '\r')
read -r method path version || exit 0
length=0
while read -r line; do
    line=${line%"$carriage_return"}
    [ -n "$line" ] || break
    case $line in
        [Cc][Oo][Nn][Tt][Ee][Nn][Tt]-[Ll][Ee][Nn][Gg][Tt][Hh]:*)
            length=${line#*:}
            length=${length# }
            ;;
    esac
done
case $length in
    '' | *[!0-9]* | ??????*) refuse 400 'Bad Request' 'send a Content-Length below 100000' ;;
esac
[ "$length" -le "$body_max" ] || refuse 413 'Content Too Large' "a body may have $body_max bytes"
[ "$length" -eq 0 ] || head -c "$length" >/dev/null

case "$method ${path%%\?*}" in
    'GET /health')
        answer 200 OK '{"status": "ok"}'
        ;;
    'POST /shipments')
        answer 200 OK "{\"service\": \"shipping\", \"parcel\": \"p-$(date +%s)-$$\", \"visited\": [\"shipping\"]}"
        ;;
    *)
        refuse 404 'Not Found' 'there is nothing here'
        ;;
esac
