#!/usr/bin/env bash
# Makes the files for the PKCS #12 reader again, and corpus.csv, which says
# what the reader must make of each. What programs here cannot write, the
# replicas, is made by the reader's tests at the end.
#
# Needs openssl (3.0 or later with the legacy provider), certutil and pk12util
# (libnss3-tools), certtool (gnutls-bin), keytool (a JDK), and Go.
set -euo pipefail
cd "$(dirname "$0")"
here=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export LC_ALL=C.UTF-8

# ---- keys and certificates ----

cat >x.cnf <<'CNF'
[ca]
default_ca = here
[here]
database = index.txt
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any
[any]
organizationName = optional
commonName = supplied
[req]
distinguished_name = none
[none]
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = CA:FALSE
keyUsage = critical,keyEncipherment
extendedKeyUsage = emailProtection
subjectAltName = email:alice@example.com
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[bare]
subjectAltName = email:alice@example.com
CNF

request() { openssl req -new -config x.cnf -key "$1.key" -subj "$2" -out "$1.csr"; }
# sign NAME CA SECTION [x509 options]
sign() { openssl x509 -req -in "$1.csr" -CA "$2.crt" -CAkey "$2.key" -extfile x.cnf -extensions "$3" -days 9000 -out "$1.crt" "${@:4}" 2>/dev/null; }
# certify NAME: a certificate for NAME.key, whatever its kind
certify() {
  openssl pkey -in "$1.key" -pubout -out "$1.pub"
  cp alice.csr "$1.csr"
  sign "$1" sub leaf -force_pubkey "$1.pub"
}

for k in root sub alice bob; do openssl genrsa -out $k.key 2048 2>/dev/null; done
request root "/O=Example Ltd/CN=Example Test Root"
openssl x509 -req -in root.csr -signkey root.key -extfile x.cnf -extensions authority -days 9000 -out root.crt 2>/dev/null
request sub "/O=Example Ltd/CN=Example Test CA"
sign sub root authority
request alice "/O=Example Ltd/CN=Alice Example"
sign alice sub leaf
request bob "/O=Example Ltd/CN=Bob Example"
sign bob sub leaf
cat sub.crt root.crt >chain.pem
# the same key again
cp alice.csr renewed.csr
cp alice.key renewed.key
sign renewed sub leaf -set_serial 4711
cp alice.csr noski.csr
sign noski sub bare
cp alice.csr sha1.csr
sign sha1 sub leaf -sha1
: >index.txt
openssl ca -batch -notext -config x.cnf -cert sub.crt -keyfile sub.key -extensions leaf \
  -startdate 20100101000000Z -enddate 20120101000000Z -in alice.csr -out expired.crt 2>/dev/null

for bits in 512 768 1024 2047 4096; do openssl genrsa -out rsa$bits.key $bits 2>/dev/null; done
openssl genrsa -primes 3 -out rsa3prime.key 2048 2>/dev/null
openssl genrsa -3 -out rsae3.key 2048 2>/dev/null
for curve in P-224 P-256 P-384 P-521 secp256k1 brainpoolP256r1; do
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:$curve -out $curve.key
done
for alg in ED25519 X25519 ED448; do openssl genpkey -algorithm $alg -out $alg.key; done
openssl genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -out rsapss.key 2>/dev/null
openssl dsaparam -genkey -noout -out dsa.key 1024 2>/dev/null
others=(rsa512 rsa768 rsa1024 rsa2047 rsa4096 rsa3prime rsae3
  P-224 P-256 P-384 P-521 secp256k1 brainpoolP256r1 ED25519 X25519 ED448 rsapss dsa)
for k in "${others[@]}"; do certify "$k"; done

# ---- the table ----

P='corpus-Zq7'
echo file,password,outcome,identities,unpaired_keys,unpaired_certs,problems,notes >corpus.csv
# row FILE [field=value …]: what the reader must say; by default one identity
# and nothing else. password is percent-encoded.
row() {
  local file=$1 password=$P outcome=ok identities=1 keys=0 certs=0 problems= notes=
  [ $# -eq 1 ] || local "${@:2}"
  echo "$file,$password,$outcome,$identities,$keys,$certs,$problems,$notes" >>corpus.csv
}
plain() { printf '%b' "${1//%/\\x}"; }

# ---- OpenSSL ----

# ossl FILE ARGS… -- FIELDS…: an export of Alice's key, unless ARGS has another
ossl() {
  local file=openssl-$1 args=() password=$P
  shift
  while [ $# -gt 0 ] && [ "$1" != -- ]; do args+=("$1"); shift; done
  [ $# -eq 0 ] || shift
  for f in "$@"; do [ "${f%%=*}" != password ] || password=${f#*=}; done
  case " ${args[*]} " in *" -in "*) ;; *) args+=(-in alice.crt -inkey alice.key) ;; esac
  openssl pkcs12 -export -legacy "${args[@]}" -passout "pass:$(plain "$password")" -out "$file"
  row "$file" "$@"
}
modern=(-keypbe AES-256-CBC -certpbe AES-256-CBC -macalg sha256)
openssl pkcs12 -export -in alice.crt -inkey alice.key -passout "pass:$P" -out openssl-default.p12
row openssl-default.p12
ossl name.p12 "${modern[@]}" -name "Alice Example"
ossl chain.p12 "${modern[@]}" -name "Alice Example" -certfile chain.pem -caname sub -caname root
ossl legacy.p12 -keypbe PBE-SHA1-3DES -certpbe PBE-SHA1-RC2-40 -macalg sha1
ossl descert.p12 -descert -macalg sha1
ossl rc2-128.p12 -keypbe PBE-SHA1-RC2-128 -certpbe PBE-SHA1-RC2-128 -macalg sha1
ossl rc2-40.p12 -keypbe PBE-SHA1-RC2-40 -certpbe PBE-SHA1-RC2-40 -macalg sha1
ossl 2des-key.p12 -keypbe PBE-SHA1-2DES -macalg sha1
ossl 2des-cert.p12 -certpbe PBE-SHA1-2DES -macalg sha1
ossl rc4-128-key.p12 -keypbe PBE-SHA1-RC4-128 -- identities=0 certs=1 problems=pfx_algorithm_unsupported
ossl rc4-128-cert.p12 -certpbe PBE-SHA1-RC4-128 -- outcome=pfx_algorithm_unsupported identities=0
ossl rc4-40-key.p12 -keypbe PBE-SHA1-RC4-40 -- identities=0 certs=1 problems=pfx_algorithm_unsupported
ossl md5-des-key.p12 -keypbe PBE-MD5-DES -- identities=0 certs=1 problems=pfx_algorithm_unsupported
ossl aes-128.p12 -keypbe AES-128-CBC -certpbe AES-128-CBC
ossl aes-192.p12 -keypbe AES-192-CBC -certpbe AES-192-CBC
ossl des-ede3.p12 -keypbe DES-EDE3-CBC -certpbe DES-EDE3-CBC
ossl camellia.p12 -keypbe CAMELLIA-256-CBC -certpbe CAMELLIA-256-CBC -- outcome=pfx_algorithm_unsupported identities=0
ossl aria-key.p12 "${modern[@]}" -keypbe ARIA-256-CBC -- identities=0 certs=1 problems=pfx_algorithm_unsupported
for mac in sha1 sha224 sha384 sha512 sha512-256; do ossl mac-$mac.p12 -macalg $mac; done
for mac in md5 sha3-256 sm3; do ossl mac-$mac.p12 -macalg $mac -- outcome=pfx_algorithm_unsupported identities=0; done
ossl nomac.p12 "${modern[@]}" -nomac -- outcome=pfx_mac_missing notes=no_mac
ossl nomac-empty.p12 "${modern[@]}" -nomac -- password= outcome=pfx_mac_missing notes=no_mac
ossl nomac-legacy.p12 -nomac -- outcome=pfx_mac_missing notes=no_mac
ossl nomaciter.p12 "${modern[@]}" -nomaciter
ossl noiter.p12 "${modern[@]}" -noiter -nomaciter
ossl iter-500000.p12 "${modern[@]}" -iter 500000
ossl certpbe-none.p12 "${modern[@]}" -certpbe NONE
ossl keypbe-none.p12 "${modern[@]}" -keypbe NONE
ossl both-none.p12 -keypbe NONE -certpbe NONE -macalg sha256
ossl empty.p12 "${modern[@]}" -- password=
ossl empty-legacy.p12 -keypbe PBE-SHA1-3DES -certpbe PBE-SHA1-RC2-40 -macalg sha1 -- password=
ossl csp.p12 -descert -macalg sha1 -LMK -CSP "Microsoft Software Key Storage Provider"
ossl umlaut.p12 "${modern[@]}" -- password=K%c3%bc%c3%9f%e2%82%ac
ossl umlaut-legacy.p12 -descert -macalg sha1 -- password=K%c3%bc%c3%9f%e2%82%ac
ossl emoji.p12 "${modern[@]}" -- password=%f0%9f%94%91key
ossl emoji-legacy.p12 -descert -macalg sha1 -- password=%f0%9f%94%91key
ossl long.p12 "${modern[@]}" -- "password=$(printf 'x%.0s' {1..300})"
ossl space.p12 "${modern[@]}" -- password=%20blank%20
ossl expired.p12 "${modern[@]}" -in expired.crt -inkey alice.key
ossl noski.p12 "${modern[@]}" -in noski.crt -inkey alice.key
ossl sha1-signed.p12 "${modern[@]}" -in sha1.crt -inkey alice.key -certfile chain.pem
ossl keys-only.p12 "${modern[@]}" -nocerts -in alice.key -- identities=0 keys=1
ossl certs-only.p12 "${modern[@]}" -nokeys -in alice.crt -certfile chain.pem -- identities=0 certs=3
for k in rsa512 rsa768 rsa1024 rsa2047 rsa4096 rsa3prime rsae3 P-224 P-256 P-384 P-521 ED25519 X25519; do
  ossl "key-$k.p12" "${modern[@]}" -in "$k.crt" -inkey "$k.key"
done
for k in secp256k1 brainpoolP256r1; do
  ossl "key-$k.p12" "${modern[@]}" -in "$k.crt" -inkey "$k.key" -- identities=0 "problems=pfx_certificate_unparseable pfx_key_unsupported"
done
for k in ED448 rsapss dsa; do
  ossl "key-$k.p12" "${modern[@]}" -in "$k.crt" -inkey "$k.key" -- identities=0 certs=1 problems=pfx_key_unsupported
done
{ echo "Bag Attributes"; echo "-----BEGIN PKCS12-----"; openssl base64 -in openssl-default.p12; echo "-----END PKCS12-----"; } >openssl-pem.p12
row openssl-pem.p12 notes=armour
openssl base64 -in openssl-default.p12 | sed 's/$/\r/' >openssl-base64.txt
row openssl-base64.txt notes=armour
{ cat openssl-default.p12; printf '\0'; } >openssl-trailing.p12
row openssl-trailing.p12 notes=trailing_bytes
head -c -1 openssl-default.p12 >openssl-short.p12
row openssl-short.p12 outcome=pfx_truncated identities=0
row openssl-default.p12 password=corpus-zq7 outcome=pfx_password_wrong identities=0
row openssl-default.p12 password=corpus-Zq7%20 outcome=pfx_password_wrong identities=0
row openssl-default.p12 password= outcome=pfx_password_wrong identities=0
row openssl-nomac.p12 password=wrong outcome=pfx_mac_missing identities=0
openssl x509 -in alice.crt -outform DER -out not-a-certificate-file.cer
row not-a-certificate-file.cer outcome=blob_not_pkcs12 identities=0
openssl req -in alice.csr -out not-a-request.pem
row not-a-request.pem outcome=blob_not_pkcs12 identities=0
openssl crl2pkcs7 -nocrl -certfile alice.crt -outform DER -out not-a-bundle.p7b
row not-a-bundle.p7b outcome=blob_not_pkcs12 identities=0
echo "0 this is text, and not even base64" >not-text.txt
row not-text.txt outcome=blob_not_pkcs12 identities=0
: >not-empty.p12
row not-empty.p12 outcome=blob_not_pkcs12 identities=0

# ---- GnuTLS ----

# gnutls FILE ARGS… -- FIELDS…
gnutls() {
  local file=gnutls-$1 args=()
  shift
  while [ $# -gt 0 ] && [ "$1" != -- ]; do args+=("$1"); shift; done
  [ $# -eq 0 ] || shift
  case " ${args[*]} " in *" --load-privkey "*) ;; *) args+=(--load-privkey alice.key --load-certificate alice.crt) ;; esac
  case " ${args[*]} " in *-password*) ;; *) args+=(--password "$P") ;; esac
  certtool --to-p12 --p12-name alice "${args[@]}" --outfile "$file" 2>/dev/null
  row "$file" "$@"
}
gnutls default.pem -- notes=armour
gnutls default.p12 --outder
gnutls ca.p12 --outder --load-ca-certificate sub.crt
gnutls aes-256.p12 --outder --pkcs-cipher aes-256
gnutls 3des-pkcs12.p12 --outder --pkcs-cipher 3des-pkcs12
gnutls 3des.p12 --outder --pkcs-cipher 3des
gnutls rc2-40.p12 --outder --pkcs-cipher rc2-40
gnutls arcfour.p12 --outder --pkcs-cipher arcfour -- outcome=pfx_algorithm_unsupported identities=0
gnutls null.p12 --outder --null-password -- password=
gnutls empty.p12 --outder --empty-password -- password=
gnutls ec.p12 --outder --load-privkey P-256.key --load-certificate P-256.crt

# ---- NSS: what Firefox and Thunderbird write ----

new_db() { rm -rf nss; mkdir nss; certutil -N -d sql:nss --empty-password; }
into_db() { openssl pkcs12 -export -in "$1.crt" -inkey "$1.key" -name "$2" "${@:3}" -passout pass:x -out into.p12; pk12util -i into.p12 -d sql:nss -W x >/dev/null; }
# nss FILE NICKNAME [pk12util options] -- FIELDS…
nss() {
  local file=nss-$1 name=$2 args=() password=$P
  shift 2
  while [ $# -gt 0 ] && [ "$1" != -- ]; do args+=("$1"); shift; done
  [ $# -eq 0 ] || shift
  for f in "$@"; do [ "${f%%=*}" != password ] || password=${f#*=}; done
  pk12util -o "$file" -n "$name" -d sql:nss -W "$(plain "$password")" "${args[@]}" >/dev/null
  row "$file" "$@"
}
des3="PKCS #12 V2 PBE With SHA-1 And 3KEY Triple DES-CBC"
rc240="PKCS #12 V2 PBE With SHA-1 And 40 Bit RC2 CBC"
new_db
into_db alice alice
nss default.p12 alice
nss legacy.p12 alice -c "$des3" -C "$rc240"
nss aes-256.p12 alice -c AES-256-CBC -C AES-256-CBC
nss cert-none.p12 alice -C NONE
nss umlaut.p12 alice -- password=K%c3%bc%c3%9f%e2%82%ac
nss empty.p12 alice -- password=
new_db
into_db P-256 ec
nss ec.p12 ec
new_db
into_db alice alice -certfile chain.pem
nss chain.p12 alice
into_db renewed alice
nss renewed-same-key.p12 alice -- identities=2 notes=key_twice
new_db
into_db alice alice -certfile chain.pem
into_db rsae3 alice -certfile chain.pem
into_db rsa4096 alice -certfile chain.pem
nss backup.p12 alice -- identities=3

# ---- Java ----

# jks FILE ALIASES… : a key store with these, from the keys of the same names
jks() {
  local file=$1 k
  rm -f "$file"
  for k in "${@:2}"; do
    openssl pkcs12 -export -in "$k.crt" -inkey "$k.key" -certfile chain.pem -name "$k" -passout "pass:$P" -out into.p12
    keytool "${legacy[@]}" -importkeystore -noprompt -srckeystore into.p12 -srcstoretype PKCS12 -srcstorepass "$P" \
      -destkeystore "$file" -deststoretype PKCS12 -deststorepass "$P" 2>/dev/null
  done
}
legacy=()
jks java-single.p12 alice
row java-single.p12
jks java-four.p12 alice bob P-256 rsae3
row java-four.p12 identities=4
cp java-single.p12 java-trusted.p12
keytool -importcert -noprompt -alias other -file ED25519.crt -keystore java-trusted.p12 -storepass "$P" 2>/dev/null
row java-trusted.p12 certs=1
cp java-single.p12 java-secret.p12
keytool -genseckey -alias secret -keyalg AES -keysize 256 -keystore java-secret.p12 -storepass "$P" 2>/dev/null
row java-secret.p12 notes=secret_skipped
keytool -genkeypair -alias made -keyalg RSA -keysize 2048 -dname "CN=Alice Example" -keystore java-generated.p12 -storetype PKCS12 -storepass "$P" 2>/dev/null
row java-generated.p12
keytool -importcert -noprompt -alias root -file root.crt -keystore java-trust-only.p12 -storetype PKCS12 -storepass "$P" 2>/dev/null
row java-trust-only.p12 identities=0 certs=1
legacy=(-J-Dkeystore.pkcs12.legacy)
jks java-legacy.p12 alice
row java-legacy.p12

cp java-single.p12 old.p12
for kind in jks jceks; do
  rm -f java-old.$kind
  keytool -importkeystore -noprompt -srckeystore old.p12 -srcstoretype PKCS12 -srcstorepass "$P" \
    -destkeystore java-old.$kind -deststoretype $kind -deststorepass "$P" 2>/dev/null
  row java-old.$kind outcome=pfx_java_keystore identities=0
done

# ---- PEM: certificates and keys as text ----

# pem FILE PARTS… -- FIELDS…: the parts in one file
pem() {
  local file=pem-$1 parts=()
  shift
  while [ $# -gt 0 ] && [ "$1" != -- ]; do parts+=("$1"); shift; done
  [ $# -eq 0 ] || shift
  cat "${parts[@]}" >"$file"
  row "$file" notes=pem "$@"
}
# shrouded OUT [openssl pkcs8 options]: Alice's key, encrypted
shrouded() { openssl pkcs8 -topk8 -provider legacy -provider default -in alice.key -passout "pass:$P" -out "$1" "${@:2}" 2>/dev/null; }
openssl pkey -in alice.key -out plain.key
openssl rsa -in alice.key -traditional -out rsa.key 2>/dev/null
openssl rsa -in alice.key -traditional -aes256 -passout "pass:$P" -out dek.key 2>/dev/null
openssl ec -in P-256.key -out ec.key 2>/dev/null
openssl ecparam -name prime256v1 -out ec.params
pem plain.pem alice.crt plain.key chain.pem
pem key-first.pem plain.key chain.pem alice.crt
pem traditional-rsa.pem alice.crt rsa.key
pem traditional-ec.pem ec.params ec.key P-256.crt
pem traditional-encrypted.pem alice.crt dek.key -- identities=0 certs=1 problems=pfx_key_encryption_old
openssl pkey -in dsa.key -traditional -out dsa-old.key
pem traditional-dsa.pem dsa-old.key dsa.crt -- identities=0 certs=1 problems=pfx_key_unsupported
shrouded aes.key -v2 aes-256-cbc
pem pkcs8-aes-256.pem alice.crt aes.key
for prf in SHA1 SHA224 SHA384 SHA512; do
  shrouded prf.key -v2 aes-128-cbc -v2prf hmacWith$prf
  pem pkcs8-prf-${prf,,}.pem alice.crt prf.key
done
shrouded des3.key -v2 des3
pem pkcs8-des3.pem alice.crt des3.key
shrouded v1.key -v1 PBE-SHA1-3DES
pem pkcs8-v1-3des.pem alice.crt v1.key
shrouded rc2.key -v1 PBE-SHA1-RC2-40
pem pkcs8-v1-rc2-40.pem alice.crt rc2.key
shrouded md5.key -v1 PBE-MD5-DES
pem pkcs8-v1-md5-des.pem alice.crt md5.key -- identities=0 certs=1 problems=pfx_algorithm_unsupported
shrouded scrypt.key -scrypt
pem pkcs8-scrypt.pem alice.crt scrypt.key -- identities=0 certs=1 problems=pfx_algorithm_unsupported
row pem-pkcs8-aes-256.pem password=another-Zq7 outcome=pfx_password_wrong identities=0
pem two.pem alice.crt bob.crt plain.key bob.key renewed.crt -- identities=3
pem mismatch.pem alice.crt bob.key -- identities=0 keys=1 certs=1
pem key-only.pem plain.key -- identities=0 keys=1
pem certificate-only.pem alice.crt -- identities=0 certs=1
openssl pkcs12 -in openssl-chain.p12 -passin "pass:$P" -noenc -out bags.txt
pem bags.pem bags.txt
openssl pkey -in alice.key -pubout -out alice.pub
pem public.pem alice.pub plain.key alice.crt alice.csr -- notes="bag_skipped pem"
head -c 900 pem-plain.pem >pem-short.pem
row pem-short.pem outcome=pfx_truncated identities=0
sed '3s/./!/' pem-plain.pem >pem-damaged.pem
row pem-damaged.pem outcome=pfx_malformed identities=0

# ---- into place ----

rm -f "$here"/*.p12 "$here"/*.jks "$here"/*.jceks "$here"/*.pem "$here"/*.txt "$here"/*.cer "$here"/*.p7b "$here"/keys/*
cut -d, -f1 corpus.csv | tail -n +2 | sort -u | while read -r f; do install -m 644 "$f" "$here/"; done
install -m 644 corpus.csv "$here/"
for f in alice.key alice.crt renewed.crt bob.key bob.crt sub.crt root.crt P-256.key P-256.crt; do install -m 644 $f "$here/keys/"; done
cd "$here/../.."
go test ./pfxconnector/pfx -run '^TestReplicas$' -update
go test ./pfxconnector/pfx -run '^TestCorpus$'
echo "corpus remade: $(($(wc -l <testdata/pfx/corpus.csv) + $(wc -l <testdata/pfx/replicas.csv) - 2)) rows"
