package scep

import "github.com/signet-mdm/signet/internal/fault"

// What cannot be answered by a CertRep.
var (
	ErrProfileUnknown = fault.New(fault.NotFound, "scep_profile_unknown",
		"There is no such certificate profile.", "signet scep profiles lists them; the SCEP address ends with the name.")
	ErrIssuerUnknown = fault.New(fault.NotFound, "scep_issuer_unknown",
		"There is no such certification authority.", "")
	ErrCRLUnknown = fault.New(fault.NotFound, "scep_crl_unknown",
		"There is no such revocation list.", "A certificate names its own.")
	ErrNoNext = fault.New(fault.NotFound, "scep_no_next_ca",
		"No other certification authority is to follow.", "")
	ErrMessage = fault.New(fault.Invalid, "scep_message",
		"This is no SCEP message.", "")
	ErrTooLarge = fault.New(fault.TooLarge, "scep_too_large",
		"The SCEP message is too large.", "")
	ErrTooMany = fault.New(fault.Unavailable, "scep_too_many_failures",
		"Too many certificate requests came from this address.", "Wait a minute.")
)

// Why a request is refused. Clients see the code as failInfoText.
var (
	ErrAlgorithm = fault.New(fault.Invalid, "scep_algorithm",
		"The request uses an algorithm that is not accepted.", "For old clients a certificate profile can say legacy: true.")
	ErrUnreadable = fault.New(fault.Invalid, "scep_unreadable",
		"The request does not decrypt to a certificate request signed by its own key.", "")
	ErrClock = fault.New(fault.Invalid, "scep_clock",
		"The clock of the client is too far off.", "Set the time of the device.")
	ErrMessageType = fault.New(fault.Invalid, "scep_message_type",
		"The server does not answer this type of message.", "")
	ErrTransaction = fault.New(fault.NotFound, "scep_transaction_unknown",
		"No request is pending under this transaction.", "")
	ErrWantsCA = fault.New(fault.Denied, "scep_request_ca",
		"The request asks for a CA certificate.", "")
	ErrKey = fault.New(fault.Invalid, "scep_key",
		"The key is too weak, too large or of the wrong kind.", "Use RSA with 2048 to 4096 bits.")
	ErrKeyForeign = fault.New(fault.Denied, "scep_key_foreign",
		"The message is not signed with the key that asks for a certificate.", "")
	ErrKeyKnown = fault.New(fault.Denied, "scep_key_known",
		"The key is another's, was imported or belongs to a revoked certificate.", "Make a new key.")
	ErrNamesDiffer = fault.New(fault.Denied, "scep_names_differ",
		"The request asks for other names than the certificate will have.",
		"Have the client ask for what our records say, or set names: ignore in the certificate profile.")
	ErrHolder = fault.New(fault.Denied, "scep_holder",
		"The user is disabled or the device is not his, or was removed.", "")
)

// Failures of challenges.
var (
	ErrChallengeUnknown = fault.New(fault.Denied, "scep_challenge_unknown",
		"There is no such challenge.", "Get the profile anew; each can be installed once.")
	ErrChallengeUsed = fault.New(fault.Denied, "scep_challenge_used",
		"The challenge was used before.", "Get the profile anew; each can be installed once.")
	ErrChallengeExpired = fault.New(fault.Denied, "scep_challenge_expired",
		"The challenge has expired.", "Get the profile anew.")
	ErrChallengeVoid = fault.New(fault.Denied, "scep_challenge_void",
		"The challenge was replaced by a newer one, or tried too often.", "Use the newest profile.")
	ErrChallengeProfile = fault.New(fault.Denied, "scep_challenge_profile",
		"The challenge is for another certificate profile.", "")
)

// ErrDeviceNeeded is returned for a challenge that is for no device, of a profile
// that wants one.
var ErrDeviceNeeded = fault.New(fault.Invalid, "scep_device_needed",
	"This certificate profile is for enrolled devices only.", "Say for which: --device.")

// ErrDelivered is returned for a certificate that devices cannot get by
// themselves.
var ErrDelivered = fault.New(fault.Conflict, "scep_delivered",
	"The certificate profile smime-signing wants approval or matching names: iPhones and iPads wait for nobody, and ask for no names.",
	"Take that out of it, and make another certificate profile for other clients.")

// ErrUndelivered is returned for a policy that names a profile which is not for
// delivery.
var ErrUndelivered = fault.New(fault.Invalid, "scep_undelivered",
	"The certificate profile is not for delivery to devices.", "Name smime-signing, or one for signing that was made with delivery: true.")

// Failures of requests that a person decides on.
var (
	ErrPending = fault.New(fault.Conflict, "scep_pending",
		"A person has to approve this request first.", "The client asks again by itself.")
	ErrRequestDenied = fault.New(fault.Denied, "scep_request_denied",
		"The request was denied.", "Ask whoever decided; a new request needs a new challenge.")
	ErrRequestExpired = fault.New(fault.Denied, "scep_request_expired",
		"Nobody approved the request in time, or the client came back too late.", "Start again with a new challenge.")
	ErrRequestsMany = fault.New(fault.Unavailable, "scep_requests_many",
		"Too many requests wait for approval.", "Approve or deny some: signet scep requests.")
	ErrRequestUnknown = fault.New(fault.NotFound, "scep_request_unknown",
		"There is no such certificate request.", "signet scep requests lists them.")
	ErrRequestDecided = fault.New(fault.Conflict, "scep_request_decided",
		"The request was decided, has expired or is void.", "signet scep requests shows its state.")
	ErrRequestOwn = fault.New(fault.Denied, "scep_request_own",
		"Nobody approves a certificate in his own name.", "Ask another approver.")
	ErrRequestReason = fault.New(fault.Invalid, "scep_request_reason",
		"The reason is longer than 200 characters.", "")
)

// Failures of renewal.
var (
	ErrRenewalUnknown = fault.New(fault.Denied, "scep_renewal_unknown",
		"The certificate that signed the request is none of this profile.", "Enroll with a challenge.")
	ErrRenewalEarly = fault.New(fault.Denied, "scep_renewal_early",
		"The certificate is not due for renewal yet.", "")
	ErrRenewalOver = fault.New(fault.Denied, "scep_renewal_over",
		"The certificate has expired, was revoked or was replaced.", "Enroll with a challenge.")
	ErrRenewalUnproven = fault.New(fault.Denied, "scep_renewal_unproven",
		"The keeper was not shown that the old certificate's key asks for the renewal.", "Run the same version of Signet in all roles; otherwise look at the front end: it may be in other hands.")
	ErrCertificatesMany = fault.New(fault.Unavailable, "scep_certificates_many",
		"So many certificates were made for the device or its user within the hour that none is made now.", "If that was expected, raise limits.certificates_per_hour; otherwise look at the journal and the front end.")
	ErrOwnClock = fault.New(fault.Unavailable, "scep_own_clock",
		"The clock of the server says a day before this program was made.", "Set the time of the server: timedatectl set-ntp true.")
	ErrRenewalSealed = fault.New(fault.Unavailable, "scep_renewal_sealed",
		"The keeper has no RA key to open renewals with.", "The keeper's key directory must hold the keys of the RAs too.")
)

// Failures of certificates and profiles.
var (
	ErrCertificateUnknown = fault.New(fault.NotFound, "scep_certificate_unknown",
		"No such certificate was issued.", "")
	ErrIdentity = fault.New(fault.Unauthenticated, "scep_identity",
		"The certificate is no device identity of this server.", "")
	ErrIdentityRevoked = fault.New(fault.Denied, "scep_identity_revoked",
		"The device identity was revoked.", "Enroll the device again.")
	ErrIdentityExpired = fault.New(fault.Denied, "scep_identity_expired",
		"The device identity has expired.", "Enroll the device again.")
	ErrReason = fault.New(fault.Invalid, "scep_revocation_reason",
		"There is no such reason for a revocation.",
		"Use keyCompromise, affiliationChanged, superseded, cessationOfOperation, privilegeWithdrawn or unspecified.")
	ErrNames = fault.New(fault.Invalid, "scep_names",
		"No common name of the profile has a value that fits.", "Give the user a display name of at most 64 characters.")
	ErrAddressForeign = fault.New(fault.Invalid, "scep_address_foreign",
		"The certificate profile gives an address that is none of the user's.", "Use variables such as {{mail}}; what they give comes from the user's record.")
	ErrSIDForeign = fault.New(fault.Invalid, "scep_sid_foreign",
		"The certificate profile gives a security identifier that is not the user's.", "Use the variable {{OnPremisesSecurityIdentifier}} alone; what it gives comes from the user's record.")
	ErrAddressGone = fault.New(fault.Denied, "scep_address_gone",
		"An address that the certificate would name is not the user's any more.", "Make a new challenge: it takes the addresses that he has now.")
	ErrDomain = fault.New(fault.Denied, "scep_domain",
		"The CA may not certify the user's mail address.", "It is constrained to the domains of ca.mail_domains, as they were when it was made.")
	ErrProfileEncryption = fault.New(fault.Invalid, "scep_profile_encryption",
		"No certificate profile for SCEP may be for encryption: the key stays on one device, and the user's other devices could not read.",
		"Import the user's encryption certificates, or have one made: signet encryption issue.")
	ErrProfileBroken = fault.New(fault.Invalid, "scep_profile_broken",
		"A certificate of this profile would break a rule.", "Mend the certificate profile; docs/certificates.md has the rules.")
	ErrProfileFixed = fault.New(fault.Conflict, "scep_profile_fixed",
		"What a certificate profile is for stays as it is.", "Make another profile.")
	ErrProfilesChanged = fault.New(fault.Conflict, "scep_profiles_changed",
		"Somebody else changed the certificate profiles at the same time.", "Look at the difference, and apply it again.")
	ErrProfileInvalid = fault.New(fault.Invalid, "scep_profile_invalid",
		"The certificate profile is not complete.", "")
)
