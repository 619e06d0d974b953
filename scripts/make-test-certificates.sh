#!/bin/sh
# Makes the certificates and keys in test/fixtures/tls/ anew. Their only secret is a test key: they protect nothing.
# The results are committed; run this only when a name has to be added. Needs openssl 3.
set -eu

out="$(cd "$(dirname "$0")/.." && pwd)/test/fixtures/tls"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"
cd "$work"

names='DNS:api.openai.com,DNS:api.deepseek.com,DNS:api.aimlapi.com,DNS:*.openai.azure.com,DNS:localhost,IP:127.0.0.1'
provider_names='DNS:api.openai.com,DNS:api.deepseek.com,DNS:api.aimlapi.com,DNS:api.anthropic.com,DNS:openrouter.ai,DNS:*.openai.azure.com,DNS:*.googleapis.com,DNS:*.us-east-1.amazonaws.com'

cat >ca.cnf <<'CONFIG'
[ca]
default_ca = test_ca
[test_ca]
database = index.txt
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any_name
unique_subject = no
[any_name]
commonName = supplied
CONFIG
: >index.txt

new_key() {
  case "$1" in
  *-rsa) openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$out/$1.key" 2>/dev/null ;;
  *) openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$out/$1.key" 2>/dev/null ;;
  esac
}

# make NAME COMMON_NAME EXTENSIONS NOT_AFTER SIGNER...: the start lies far back, for machines whose clock is behind.
make() {
  name="$1" common_name="$2" extensions="$3" not_after="$4"
  shift 4
  new_key "$name"
  openssl req -new -key "$out/$name.key" -subj "/CN=$common_name" -out request.csr
  printf '%s\n' "$extensions" >extensions.cnf
  openssl ca -batch -notext -config ca.cnf -startdate 20200101000000Z -enddate "$not_after" \
    -extfile extensions.cnf -in request.csr -out "$out/$name.crt" "$@" 2>/dev/null
}

leaf="basicConstraints=CA:false
extendedKeyUsage=serverAuth
subjectAltName=$names"
provider_leaf="basicConstraints=CA:false
extendedKeyUsage=serverAuth
subjectAltName=$provider_names"

make ca 'Weir test CA' 'basicConstraints=critical,CA:true
keyUsage=critical,keyCertSign,cRLSign' 21250101000000Z -selfsign -keyfile "$out/ca.key"
make server 'Weir test server' "$leaf" 21250101000000Z -cert "$out/ca.crt" -keyfile "$out/ca.key"
make providers 'Weir test stand-in for providers' "$provider_leaf" 21250101000000Z -cert "$out/ca.crt" -keyfile "$out/ca.key"
make expired 'Weir expired test server' "$leaf" 20210101000000Z -cert "$out/ca.crt" -keyfile "$out/ca.key"
make self-signed 'Weir self-signed test server' "$leaf" 21250101000000Z -selfsign -keyfile "$out/self-signed.key"

# For the gateway's own listeners: servers of several names, and clients that show a certificate.
gateway_leaf() {
  printf 'basicConstraints=CA:false\nextendedKeyUsage=serverAuth\nsubjectAltName=%s' "$1"
}
authority='basicConstraints=critical,CA:true
keyUsage=critical,keyCertSign,cRLSign'
client_leaf='basicConstraints=CA:false
extendedKeyUsage=clientAuth'

make gateway-ca 'Weir test CA of gateways' "$authority" 21250101000000Z -selfsign -keyfile "$out/gateway-ca.key"
signed_by() { printf -- '-cert %s/%s.crt -keyfile %s/%s.key' "$out" "$1" "$out" "$1"; }
# The words of signed_by are to be split.
# shellcheck disable=SC2046
{
  for name in a a-renewed a-rsa; do
    make "$name" "$name" "$(gateway_leaf 'DNS:a.example,DNS:localhost,IP:127.0.0.1')" 21250101000000Z $(signed_by gateway-ca)
  done
  make b b "$(gateway_leaf 'DNS:b.example')" 21250101000000Z $(signed_by gateway-ca)
  make wildcard wildcard "$(gateway_leaf 'DNS:*.wild.example')" 21250101000000Z $(signed_by gateway-ca)
  make old old "$(gateway_leaf 'DNS:old.example')" 20210101000000Z $(signed_by gateway-ca)
  make client 'a client' "$client_leaf" 21250101000000Z $(signed_by gateway-ca)
  make inner-1 'inner authority 1' "$authority" 21250101000000Z $(signed_by gateway-ca)
  make inner-2 'inner authority 2' "$authority" 21250101000000Z $(signed_by inner-1)
  make client-inner-1 'a client of inner authority 1' "$client_leaf" 21250101000000Z $(signed_by inner-1)
  make client-inner-2 'a client of inner authority 2' "$client_leaf" 21250101000000Z $(signed_by inner-2)
}
cat "$out/inner-1.crt" >>"$out/client-inner-1.crt"
cat "$out/inner-2.crt" "$out/inner-1.crt" >>"$out/client-inner-2.crt"
rm "$out"/inner-*

# Nothing more is to be signed with them, and a CA without a key can do no harm if somebody trusts it.
rm "$out/ca.key" "$out/gateway-ca.key"
