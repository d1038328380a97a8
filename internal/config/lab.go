package config

// checkLab refuses a static challenge outside a laboratory.
func (c Config) checkLab() (list []Problem) {
	s := c.SCEP
	switch {
	case s.LabChallengeFile == "" && (s.LabProfile != "" || s.LabUser != ""):
		list = append(list, Problem{"scep.lab_challenge_file", "There is no static challenge.", "Set it, or neither scep.lab_profile nor scep.lab_user."})
	case s.LabChallengeFile == "":
	case c.Enroll.Auth != "lab":
		list = append(list, Problem{"scep.lab_challenge_file", "A static challenge is for laboratories: whoever knows it gets certificates.",
			"Use signet scep challenge, or set enroll.auth = \"lab\" as well."})
	case s.LabProfile == "" || s.LabUser == "":
		list = append(list, Problem{"scep.lab_challenge_file", "A static challenge is for one certificate profile and one user.",
			"Set scep.lab_profile and scep.lab_user."})
	}
	return list
}
