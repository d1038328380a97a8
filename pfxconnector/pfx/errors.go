package pfx

import "github.com/signet-mdm/signet/internal/fault"

// Failures of a whole file.
var (
	ErrNotPKCS12 = fault.New(fault.Invalid, "blob_not_pkcs12",
		"This is not a PKCS #12 file.", "Export the certificate with its private key as .pfx or .p12.")
	ErrJavaStore = fault.New(fault.Invalid, "pfx_java_keystore",
		"This is a Java key store (JKS or JCEKS), not a PKCS #12 file.",
		"Convert it: keytool -importkeystore -srckeystore FILE -destkeystore new.p12 -deststoretype PKCS12")
	ErrTruncated = fault.New(fault.Invalid, "pfx_truncated",
		"The file ends too early.", "Copy or upload it again.")
	ErrMalformed = fault.New(fault.Invalid, "pfx_malformed",
		"The inside of the file does not follow the PKCS #12 standard.", "Export it again, with another program if need be.")
	ErrPassword = fault.New(fault.Invalid, "pfx_password_wrong",
		"The password does not open the file, or the file is damaged.", "Check upper and lower case and the keyboard layout.")
	ErrLimit = fault.New(fault.TooLarge, "pfx_limit_exceeded",
		"The file asks for more work than is allowed.", "Export it again with fewer iterations or fewer certificates.")
	ErrNoMAC = fault.New(fault.Invalid, "pfx_mac_missing",
		"The file has no integrity check, so its contents cannot be trusted.", "Export it again with a password, or allow such files for this import.")
	ErrAlgorithm = fault.New(fault.Invalid, "pfx_algorithm_unsupported",
		"The file is protected by an algorithm that is not supported.", "Export it again with AES-256 and SHA-256.")
	ErrPrincipal = fault.New(fault.Invalid, "pfx_protected_to_principal",
		"The file is protected to a Windows user, group or certificate, not by a password.", "Export it again with a password.")
	ErrPublicKeyMAC = fault.New(fault.Invalid, "pfx_signed_not_password",
		"The file is protected by a signature, not by a password.", "Export it again with a password.")
)

// Failures of one bag.
var (
	ErrKeyPassword = fault.New(fault.Invalid, "pfx_key_password_differs",
		"A key in the file has another password than the file.", "Export it again with one password.")
	ErrKeyTraditional = fault.New(fault.Invalid, "pfx_key_encryption_old",
		"The key is encrypted in the way from before PKCS #8, which protects it hardly.",
		"Convert it: openssl pkcs8 -topk8 -in FILE -out new.pem")
	ErrKeyUnsupported = fault.New(fault.Invalid, "pfx_key_unsupported",
		"The key is of a kind that is not supported.", "Supported are RSA, P-224 to P-521, Ed25519 and X25519.")
	ErrKeyMalformed = fault.New(fault.Invalid, "pfx_key_malformed",
		"The private key is damaged.", "Export it again.")
	ErrTooManyBits = fault.New(fault.TooLarge, "pfx_rsa_too_large",
		"The RSA key has more bits than is allowed.", "Keys of up to 8192 bits are taken.")
	ErrCertificate = fault.New(fault.Invalid, "pfx_certificate_unparseable",
		"The certificate does not follow the X.509 standard, or uses an unknown curve.", "Ask who issued it for another; negative serial numbers and curves other than those of NIST are not read.")
	ErrCertificateSize = fault.New(fault.TooLarge, "pfx_certificate_too_large",
		"The certificate is larger than is allowed.", "64 KiB are allowed; look whether it is one certificate at all.")
)

// What importers say of a file that was read, but does not hold what they want.
var (
	ErrNoKey = fault.New(fault.Invalid, "pfx_no_private_key",
		"The file holds no private key.", "Export it again and include the private key.")
	ErrNoCertificate = fault.New(fault.Invalid, "pfx_no_certificate",
		"The file holds a private key, but not its certificate.", "Export it again and include the certificate.")
	ErrSeveral = fault.New(fault.Invalid, "pfx_multiple_identities",
		"The file holds several certificates with their keys, where one is wanted.", "Export each of them to a file of its own.")
)

// Failures of [Write]. A file may have such a pair too, see [Result.Mismatch].
var (
	ErrMismatch = fault.New(fault.Invalid, "pfx_key_mismatch",
		"The private key does not belong to the certificate.", "Export both together, from where the key was made.")
	ErrNotDeliverable = fault.New(fault.Invalid, "pfx_key_not_deliverable",
		"iOS cannot install a key of this kind.", "It takes RSA keys of two primes and the curves P-256, P-384 and P-521.")
	ErrPasswordForm = fault.New(fault.Invalid, "pfx_password_form",
		"The password for the new file must be 1 to 128 printable ASCII characters.", "Leave it to Signet to choose one.")
)
