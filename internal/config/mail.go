package config

import (
	"net"
	"net/mail"
	"strconv"
	"strings"
)

// Mail is how mails to people are sent.
type Mail struct {
	Server       string `toml:"server" doc:"The mail server that takes our mails, host:port, such as smtp.example.org:587; without a port that of mail.tls. Empty: no mail is sent, and who invites sees link and code together."`
	TLS          string `toml:"tls" default:"starttls" doc:"starttls (port 587), tls (from the first byte, port 465) or none (port 25; only to this machine itself). The certificate is always verified, and nothing is ever sent in clear text because TLS did not work."`
	CA           string `toml:"ca" doc:"PEM file of the CA certificates that the mail server's is verified with. Empty: the system's."`
	Username     string `toml:"username" doc:"Name to log in to the mail server with. Empty: no login."`
	PasswordFile string `toml:"password_file" doc:"File with the password of mail.username."`
	From         string `toml:"from" doc:"The sender of all mails, such as Secure mail <signet@example.org>."`
	ReplyTo      string `toml:"reply_to" doc:"Where answers to mails go. Empty: to the sender."`
	SignCert     string `toml:"sign_cert" doc:"PEM file of an S/MIME certificate for mail.from, and of its chain, that all mails are signed with. Take one that your users' mail programs trust already. Empty: mails are not signed."`
	SignKey      string `toml:"sign_key" doc:"PEM file of the private key of mail.sign_cert."`
	Alarms       string `toml:"alarms" doc:"The address of those who run this server: when a key is not opened because somebody changed the database, asks for what is not his or for too much, they get a mail, one an hour at most. Empty: alarms stand in the journal, the log and the metrics only."`
	Hello        string `toml:"hello" doc:"The name by which we greet the mail server. Empty: the host of the url."`
}

// MailServer gives host and port of the mail server.
func (c Config) MailServer() (host, port string) {
	host, port, err := net.SplitHostPort(c.Mail.Server)
	if err != nil {
		host, port = strings.Trim(c.Mail.Server, "[]"), map[string]string{"tls": "465", "none": "25"}[c.Mail.TLS]
	}
	if port == "" {
		port = "587"
	}
	return host, port
}

// checkMail judges the section; an empty one is good.
func (c Config) checkMail() (list []Problem) {
	m := c.Mail
	if m.Server == "" {
		return nil
	}
	host, port := c.MailServer()
	if _, err := strconv.ParseUint(port, 10, 16); err != nil || host == "" || strings.ContainsAny(host, " /@") {
		list = append(list, Problem{"mail.server", "This is not host:port.", "Give the mail server, such as smtp.example.org:587."})
	}
	if m.TLS == "none" && !loopback(host) {
		list = append(list, Problem{"mail.tls", "Mails hold enrollment links and do not leave this machine without TLS.", "Use starttls or tls, or a mail server on this machine."})
	}
	if _, err := mail.ParseAddress(m.From); err != nil {
		list = append(list, Problem{"mail.from", "This is not a sender.", "Give an address, or a name with one: Secure mail <signet@example.org>."})
	}
	if _, err := mail.ParseAddress(m.ReplyTo); m.ReplyTo != "" && err != nil {
		list = append(list, Problem{"mail.reply_to", "This is not an address.", "Give one, or none."})
	}
	if _, err := mail.ParseAddress(m.Alarms); m.Alarms != "" && err != nil {
		list = append(list, Problem{"mail.alarms", "This is not an address.", "Give one, or none."})
	}
	if (m.SignCert == "") != (m.SignKey == "") {
		list = append(list, Problem{"mail.sign_cert", "A certificate needs its key, and a key its certificate.", "Set both mail.sign_cert and mail.sign_key, or neither."})
	}
	if (m.Username == "") != (m.PasswordFile == "") {
		list = append(list, Problem{"mail.username", "A name needs its password, and a password its name.", "Set both mail.username and mail.password_file, or neither."})
	}
	return list
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
