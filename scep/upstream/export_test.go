package upstream

// ReadAdminPage is opened to the fuzz test.
var ReadAdminPage = readAdminPage
