package connector

// Read is the parser of requests.
var Read = read
