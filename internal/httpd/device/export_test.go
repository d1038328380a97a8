package device

// SignerOf opens the reading of Mdm-Signature to fuzzing.
var SignerOf = signerOf

// Powers opens the words about access rights to tests.
var Powers = powers
