#!/usr/bin/env bash
# Makes the sample history of alice@example.com again: seven certificates in a
# row, each in a file of another program with another password, and a mail
# encrypted to the oldest. Ends by opening everything with OpenSSL.
#
# Needs openssl (3.x with the legacy provider), certutil and pk12util
# (libnss3-tools), certtool (gnutls-bin), keytool (a JDK).
set -euo pipefail
cd "$(dirname "$0")"
out=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export LC_ALL=C.UTF-8

cat >ca.cnf <<'CNF'
[ca]
default_ca = here
[here]
database = index.txt
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
email_in_dn = no
[any]
organizationName = optional
commonName = supplied
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[mail_rsa]
basicConstraints = CA:FALSE
keyUsage = critical,keyEncipherment
extendedKeyUsage = emailProtection
subjectAltName = email:alice@example.com
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[mail_ec]
basicConstraints = CA:FALSE
keyUsage = critical,keyAgreement
extendedKeyUsage = emailProtection
subjectAltName = email:alice@example.com
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[req]
distinguished_name = none
[none]
CNF
: >index.txt

# authority NAME TEXT START END: a self-signed CA in NAME.key, NAME.crt.
authority() {
  openssl req -new -newkey rsa:2048 -nodes -config ca.cnf -keyout "$1.key" -subj "/O=Example Ltd/CN=$2" -out "$1.csr" 2>/dev/null
  openssl ca -batch -notext -config ca.cnf -selfsign -keyfile "$1.key" -extensions authority \
    -startdate "$3" -enddate "$4" -in "$1.csr" -out "$1.crt" 2>/dev/null
}

# leaf NAME CA START END [EC curve]: Alice's certificate in NAME.key, NAME.crt.
leaf() {
  local new=(-newkey rsa:2048) ext=mail_rsa
  [ $# -lt 5 ] || { new=(-newkey ec -pkeyopt "ec_paramgen_curve:$5"); ext=mail_ec; }
  openssl req -new "${new[@]}" -nodes -config ca.cnf -keyout "$1.key" -subj "/O=Example Ltd/CN=Alice Example" -out "$1.csr" 2>/dev/null
  openssl ca -batch -notext -config ca.cnf -cert "$2.crt" -keyfile "$2.key" -extensions "$ext" \
    -startdate "$3" -enddate "$4" -in "$1.csr" -out "$1.crt" 2>/dev/null
}

authority old "Example Old CA" 20120101000000Z 20321231235959Z
authority mail "Example Mail CA" 20190101000000Z 20491231235959Z
leaf 2014 old 20140301000000Z 20160301000000Z
leaf 2016 old 20160301000000Z 20180301000000Z
leaf 2018 old 20180301000000Z 20200301000000Z
leaf 2020 mail 20200301000000Z 20220301000000Z
leaf 2022 mail 20220301000000Z 20240301000000Z P-256
leaf 2024 mail 20240301000000Z 20260301000000Z
leaf 2026 mail 20260301000000Z 20491231235959Z

echo file,password >manifest.csv
# password FILE WORD: a fresh one with a mark that a scan can look for.
password() {
  pass=canary-$2-$(openssl rand -hex 8)
  echo "$1,$pass" >>manifest.csv
}

password 2014-openssl-legacy.pfx rc2
openssl pkcs12 -export -legacy -inkey 2014.key -in 2014.crt -certfile old.crt -name "Alice 2014" \
  -passout "pass:$pass" -out 2014-openssl-legacy.pfx

password 2016-gnutls.p12 gnutls
certtool --to-p12 --load-privkey 2016.key --load-certificate 2016.crt --load-ca-certificate old.crt \
  --p12-name "alice 2016" --password "$pass" --outder --outfile 2016-gnutls.p12 2>/dev/null

password 2018-java.p12 java
openssl pkcs12 -export -inkey 2018.key -in 2018.crt -certfile old.crt -name alice -passout "pass:$pass" -out 2018.p12
keytool -importkeystore -noprompt -srckeystore 2018.p12 -srcstoretype PKCS12 -srcstorepass "$pass" \
  -destkeystore 2018-java.p12 -deststoretype PKCS12 -deststorepass "$pass" 2>/dev/null

password 2020-nss.p12 nss
openssl pkcs12 -export -inkey 2020.key -in 2020.crt -certfile mail.crt -name "Alice Example" -passout "pass:$pass" -out 2020.p12
mkdir nss
certutil -N -d sql:nss --empty-password
pk12util -i 2020.p12 -d sql:nss -W "$pass" >/dev/null
pk12util -o 2020-nss.p12 -n "Alice Example" -d sql:nss -W "$pass" >/dev/null

password 2022-openssl-ec.p12 ec
openssl pkcs12 -export -inkey 2022.key -in 2022.crt -certfile mail.crt -name "Alice 2022" \
  -passout "pass:$pass" -out 2022-openssl-ec.p12

password 2024-openssl-csp.pfx csp
openssl pkcs12 -export -legacy -keypbe PBE-SHA1-3DES -certpbe PBE-SHA1-3DES -macalg sha1 \
  -CSP "Microsoft Software Key Storage Provider" -inkey 2024.key -in 2024.crt -passout "pass:$pass" -out 2024-openssl-csp.pfx

password 2026-openssl3.pfx openssl3
openssl pkcs12 -export -inkey 2026.key -in 2026.crt -certfile mail.crt -name "Alice 2026" \
  -passout "pass:$pass" -out 2026-openssl3.pfx

cat >old-mail.txt <<'TXT'
Dear Alice,

the tender closes on Friday. Our offer is 412 000 EUR, not a cent more:
the board has decided. Please keep this to yourself.

Grüße, Bob
TXT
sed -i 's/$/\r/' old-mail.txt
{
  printf 'Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n'
  cat old-mail.txt
} >entity
{
  printf 'Date: Tue, 09 Jun 2015 10:42:17 +0200\r\n'
  printf 'Message-ID: <5576a7c9.1020304@example.com>\r\n'
  printf 'From: Bob Example <bob@example.com>\r\n'
  printf 'To: Alice Example <alice@example.com>\r\n'
  printf 'Subject: The offer\r\n'
  openssl cms -encrypt -binary -des3 -in entity 2014.crt | sed 's/\r*$/\r/'
} >old-mail.eml

# The self-check: every file opens with its password, every key belongs to its
# certificate, and the oldest one reads the mail.
while IFS=, read -r file pass; do
  [ "$file" != file ] || continue
  openssl pkcs12 -legacy -in "$file" -passin "pass:$pass" -nodes -nocerts -out check.key
  openssl pkcs12 -legacy -in "$file" -passin "pass:$pass" -nokeys -clcerts -out check.crt
  cmp -s <(openssl pkey -in check.key -pubout) <(openssl x509 -in check.crt -noout -pubkey) ||
    { echo "$file: key and certificate differ" >&2; exit 1; }
  if [ "$file" = 2014-openssl-legacy.pfx ]; then
    openssl cms -decrypt -in old-mail.eml -recip check.crt -inkey check.key -out check.txt
    cmp check.txt entity
  fi
done <manifest.csv
openssl x509 -in 2026.crt -noout -checkend $((10 * 365 * 24 * 3600)) >/dev/null

install -m 644 20??-*.p12 20??-*.pfx manifest.csv old-mail.eml old-mail.txt "$out"
echo "history remade: $(($(wc -l <manifest.csv) - 1)) files"
