package cms

// Unpad opens the padding check to tests.
var Unpad = unpad
