// Opens a serialized certificate store as Windows does, in both ways that
// crypt32 has, and prints how many certificates each finds.
#include <windows.h>
#include <stdio.h>

static int certificates(HCERTSTORE store) {
  PCCERT_CONTEXT c = NULL;
  int n = 0;
  if (!store) return -1;
  while ((c = CertEnumCertificatesInStore(store, c))) n++;
  CertCloseStore(store, 0);
  return n;
}

int wmain(int argc, wchar_t **argv) {
  const DWORD encoding = X509_ASN_ENCODING | PKCS_7_ASN_ENCODING;
  static BYTE bytes[1 << 20];
  CRYPT_DATA_BLOB blob = {0, bytes};
  DWORD content = 0;
  FILE *f = _wfopen(argv[1], L"rb");
  if (!f) return 1;
  blob.cbData = fread(bytes, 1, sizeof bytes, f);
  printf("file %d\n", certificates(CertOpenStore(CERT_STORE_PROV_FILENAME_W, encoding, 0,
    CERT_STORE_OPEN_EXISTING_FLAG | CERT_STORE_READONLY_FLAG, argv[1])));
  printf("serialized %d\n", certificates(CertOpenStore(CERT_STORE_PROV_SERIALIZED, encoding, 0, 0, &blob)));
  CryptQueryObject(CERT_QUERY_OBJECT_FILE, argv[1], CERT_QUERY_CONTENT_FLAG_ALL, CERT_QUERY_FORMAT_FLAG_ALL, 0,
    NULL, &content, NULL, NULL, NULL, NULL);
  printf("content %lu\n", content);
  return 0;
}
