package backup

// ReadPlain reads what is inside the age file.
var ReadPlain = read
