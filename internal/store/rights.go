package store

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Role is a part of the server that may have a database account of its own.
type Role string

// The roles, as the configuration names them.
const (
	Front  Role = "front"
	Worker Role = "worker"
	Admin  Role = "admin"
	Keeper Role = "keeper"
)

// Roles lists them.
func Roles() []Role { return []Role{Front, Worker, Admin, Keeper} }

// rights says what the account of each role may do with a table: S select, I
// insert, U update, D delete; in brackets, which columns it may select. What is
// not here is denied. The journal is only ever added to, by anybody.
//
// Every entry that makes devices due updates them, so all roles update device;
// each process counts for its metrics, so all select what is counted.
var rights = map[string]map[Role]string{
	"approver":            {Admin: "SIUD", Keeper: "S"},
	"approver_link":       {Worker: "SD", Admin: "SIUD"},
	"audit_block":         {Worker: "S", Admin: "S", Keeper: "SI"},
	"audit_link":          {Worker: "S", Admin: "S", Keeper: "SI"},
	"certificate":         {Front: "S", Worker: "SU", Admin: "SIUD", Keeper: "SIUD"},
	"certificate_profile": {Front: "S", Worker: "S", Admin: "SID", Keeper: "S"},
	"command":             {Front: "SIU", Worker: "SIU", Admin: "SIU", Keeper: "S"},
	"connector":           {Admin: "SIU", Keeper: "SU"},
	"connector_crl":       {Admin: "SIU", Keeper: "S"},
	"connector_delivery":  {Keeper: "SIUD"},
	"consent":             {Worker: "S", Admin: "SIU", Keeper: "SIU"},
	"consent_approval":    {Worker: "S", Admin: "SI", Keeper: "S"},
	"console_session":     {Worker: "SD", Admin: "SIUD"},
	"crl":                 {Front: "S", Worker: "SU", Admin: "SU", Keeper: "SIU"},
	"delivery_clock":      {Front: "S", Worker: "SIUD", Admin: "S", Keeper: "S"},
	"device":              {Front: "SU", Worker: "SU", Admin: "SIU", Keeper: "SU"},
	"device_app":          {Front: "SIUD", Worker: "S", Admin: "S"},
	"device_certificate":  {Front: "SID", Worker: "S", Admin: "S", Keeper: "S"},
	"device_inventory":    {Front: "SIU", Worker: "S", Admin: "S"},
	"device_profiles":     {Front: "SIU", Worker: "S", Admin: "S"},
	"device_push":         {Front: "SIU", Worker: "SIU", Admin: "SIU", Keeper: "SIU"},
	"enrollment":          {Front: "SIU", Worker: "SU", Admin: "SU", Keeper: "SU"},
	"escrow_destroyed":    {Admin: "S", Keeper: "SI"},
	"escrow_key":          {Front: "S(id)", Worker: "S", Admin: "SID", Keeper: "SID"},
	"escrow_ticket":       {Worker: "SD", Admin: "SID"},
	"escrow_unchecked":    {Admin: "SID", Keeper: "SUD"},
	"escrow_wrap":         {Worker: "S", Admin: "SIUD", Keeper: "SIUD"},
	"generation":          {Front: "S", Worker: "S", Admin: "SIU", Keeper: "SIU"},
	"goose_db_version":    {Front: "S", Worker: "S", Admin: "S", Keeper: "S"},
	"groups_":             {Front: "S", Worker: "S", Admin: "SI", Keeper: "S"},
	"installation":        {Front: "S", Worker: "S", Admin: "S", Keeper: "S"},
	"invitation":          {Front: "SIU", Worker: "S", Admin: "SIU"},
	"issuance":            {Front: "SU", Worker: "SU", Admin: "SU", Keeper: "SIU"},
	"job":                 {Worker: "SUD", Admin: "SIU", Keeper: "SUD"},
	"job_item":            {Worker: "SUD", Admin: "SIU", Keeper: "SUD"},
	"journal":             {Front: "SI", Worker: "SI", Admin: "SI", Keeper: "SI"},
	"key_export":          {Worker: "SD", Admin: "S", Keeper: "SID"},
	"link":                {Front: "SIUD", Worker: "SD", Admin: "SIUD"},
	"mail":                {Front: "S(id, user_id, topic, day, state, since)I", Worker: "SIUD", Admin: "SIU", Keeper: "S(id, user_id, topic, day, state, since)I"},
	"membership":          {Front: "S", Worker: "S", Admin: "SID", Keeper: "S"},
	"ocsp":                {Front: "SIU", Worker: "SU", Admin: "SU", Keeper: "SIU"},
	"opening":             {Worker: "SD", Keeper: "SIU"},
	"parcel":              {Front: "SU", Worker: "SIUD", Admin: "SU", Keeper: "SU"},
	"policy":              {Front: "S", Worker: "S", Admin: "SIUD"},
	"push_certificate":    {Front: "S", Worker: "SU", Admin: "SIU", Keeper: "S"},
	"quarantine":          {Admin: "SIUD", Keeper: "SUD"},
	"request_key":         {Admin: "SID"},
	"revocation":          {Front: "SI", Worker: "SI", Admin: "SI", Keeper: "SID"},
	"scep_challenge":      {Front: "SIUD", Worker: "SU", Admin: "SIUD", Keeper: "SIUD"},
	"scep_report":         {Keeper: "SIU"},
	"scep_request":        {Front: "SU", Worker: "SU", Admin: "SU", Keeper: "SIUD"},
	"session":             {Front: "SIUD", Worker: "SD", Admin: "SIUD"},
	"tenant_copy":         {Worker: "SIUD", Admin: "SU", Keeper: "SU"},
	"tenant_recipient":    {Worker: "S", Admin: "SIU", Keeper: "S"},
	"token":               {Admin: "SIU", Keeper: "S(id, user_id, role, expires_at, revoked_at)"},
	"told":                {Front: "S", Worker: "SIU", Admin: "S"},
	"transport_key":       {Admin: "SI"},
	"turnstile":           {Front: "SIU", Worker: "SIU", Admin: "SIU", Keeper: "SIU"},
	"user_alias":          {Front: "S", Worker: "S", Admin: "SID", Keeper: "S"},
	"users":               {Front: "S", Worker: "S", Admin: "SIU", Keeper: "S"},
}

var verbs = map[byte]string{'S': "SELECT", 'I': "INSERT", 'U': "UPDATE", 'D': "DELETE"}

// Grants gives the statements that let an account, which is there and may do
// nothing yet, work as a role on a database of MariaDB: 'signet_front'@'%'. The
// names are taken as they are.
func Grants(role Role, database, account string) []string {
	var list []string
	for _, table := range slices.Sorted(maps.Keys(rights)) {
		if may := rights[table][role]; may != "" {
			list = append(list, fmt.Sprintf("GRANT %s ON %s.%s TO %s;", privileges(may), database, table, account))
		}
	}
	return list
}

func privileges(may string) string {
	var list []string
	for may != "" {
		verb, rest := verbs[may[0]], may[1:]
		if strings.HasPrefix(rest, "(") {
			end := strings.IndexByte(rest, ')') + 1
			verb, rest = verb+" "+rest[:end], rest[end:]
		}
		list, may = append(list, verb), rest
	}
	return strings.Join(list, ", ")
}
