package delivery

import (
	"github.com/signet-mdm/signet/internal/delivery/plan"
	"github.com/signet-mdm/signet/notify"
)

// topics are the mails that carry news.
var topics = map[plan.News]notify.Topic{plan.NewDevice: notify.Enrolled, plan.Complete: notify.Ready}

// mails tells the user the news of a device.
func mails(p plan.Plan, f plan.Facts) (list []notify.Mail) {
	for _, n := range p.Tell {
		list = append(list, notify.NewMail(topics[n.News], f.User.ID, f.Device.ID, notify.Facts{
			Device: f.Device.Called(), OS: f.Device.OSVersion, At: f.EnrolledAt,
			History: n.History, Signs: n.Signs, Again: n.Again,
		}, f.Now))
	}
	return list
}
