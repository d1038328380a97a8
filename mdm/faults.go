package mdm

import "github.com/signet-mdm/signet/internal/fault"

// Failures of invitations.
var (
	ErrInvitation = fault.New(fault.NotFound, "invitation_unknown",
		"This enrollment link is not known.", "Open the link exactly as it was sent, or ask for a new one.")
	ErrInvitationOver = fault.New(fault.Conflict, "invitation_over",
		"This enrollment link can no longer be used.", "Ask for a new one.")
	ErrCode = fault.New(fault.Denied, "invitation_code_wrong",
		"The code is not right.", "Type it as it was given to you; small and capital letters are the same.")
	ErrUserDisabled = fault.New(fault.Denied, "user_disabled",
		"The user is disabled.", "signet user change ADDRESS --disabled=false enables him again.")
)

// Failures of devices. None of them may reach a device as status 401, which
// would make it remove its enrollment.
var (
	ErrDeviceUnknown = fault.New(fault.NotFound, "device_unknown",
		"There is no such device.", "signet device list shows them.")
	ErrDeviceTaken = fault.New(fault.Conflict, "device_taken",
		"This device is enrolled for another user.", "Remove it there first: signet device remove.")
	// ErrDeviceRemoved is the word to a device that it is managed no longer:
	// the edge answers with Apple's code com.apple.unrecognized.device.
	ErrDeviceRemoved = fault.New(fault.Denied, "device_removed",
		"The device was removed.", "Invite the user again.")
	ErrManyRemoved = fault.New(fault.Conflict, "device_removal_many",
		"Many devices were removed within the hour; one more has to be confirmed.",
		"If that is meant: signet device remove --many, or ?many=true.")
	ErrNotEnrolled = fault.New(fault.Denied, "device_not_enrolled",
		"The device has not finished its enrollment.", "")
	ErrIdentity = fault.New(fault.Denied, "device_identity_mismatch",
		"The certificate is not the one this device is bound to.", "")
	ErrIdentityExpired = fault.New(fault.Denied, "device_identity_expired",
		"The device's identity certificate is not valid at this time.", "Enroll the device again.")
	ErrIdentityRevoked = fault.New(fault.Denied, "device_identity_revoked",
		"The device's identity certificate was revoked.", "Enroll the device again.")
)

// Failures of messages and commands.
var (
	ErrMessage = fault.New(fault.Invalid, "mdm_message",
		"The message is none that this server understands.", "")
	ErrUserChannel = fault.New(fault.Invalid, "mdm_user_channel",
		"Only the device itself is managed here, not its users.", "")
	ErrCommandUnknown = fault.New(fault.NotFound, "command_unknown",
		"There is no such command.", "")
	ErrCommandForeign = fault.New(fault.Denied, "command_foreign",
		"The result is for a command of another device.", "")
	ErrCommand = fault.New(fault.Internal, "command_invalid",
		"The command has no form in a property list.", "")
)
