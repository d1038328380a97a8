package console

import (
	"github.com/signet-mdm/signet/internal/httpd/admin"
	"github.com/signet-mdm/signet/pfxconnector"
)

// users lists the users, or those who are looked for.
func (v visit) users() error {
	look := v.asked("q")
	list, next, err := v.api.UserPart(v.r.Context(), look, v.asked("after"))
	if err != nil {
		return err
	}
	return v.page("users", "Users", "users", map[string]any{"List": list, "Next": v.next(next), "Look": look})
}

// person is a user with what the caller may see of his.
type person struct {
	User                       admin.UserDetail
	Devices                    []admin.Device
	Keys                       []pfxconnector.Item
	Certificates               []admin.Certificate
	Lines                      []admin.Entry
	Names                      map[string]string
	MayKeys, MayCerts, MayRead bool
}

// user shows one user.
func (v visit) user() error {
	ctx, key := v.r.Context(), v.named("user")
	p := person{MayKeys: v.may("listKeys"), MayCerts: v.may("listCertificates"), MayRead: v.may("journal")}
	var err error
	if p.User, err = v.api.User(ctx, key); err != nil {
		return err
	}
	if v.may("listDevices") {
		if p.Devices, err = v.api.Devices(ctx, admin.DeviceFilter{User: p.User.ID}); err != nil {
			return err
		}
	}
	if p.MayKeys {
		if p.Keys, err = v.api.Keys(ctx, p.User.ID); err != nil {
			return err
		}
	}
	if p.MayCerts {
		if p.Certificates, _, err = v.api.CertificatePart(ctx, admin.CertificateFilter{User: p.User.ID}, ""); err != nil {
			return err
		}
	}
	if p.MayRead {
		if p.Lines, err = v.api.Journal(ctx, 20, p.User.ID, ""); err != nil {
			return err
		}
		p.Names = map[string]string{p.User.ID: p.User.Name}
	}
	return v.page("user", p.User.Name, "users", p)
}

// device shows one device.
func (v visit) device() error {
	d, err := v.api.Device(v.r.Context(), v.named("device"))
	if err != nil {
		return err
	}
	return v.page("device", "Device", "users", map[string]any{"D": d, "Certificates": v.may("listCertificates")})
}
