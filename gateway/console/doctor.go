package console

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"postern/gateway/doctor"
)

var doctorLevels = map[doctor.Level]badge{
	doctor.Good:    {Word: "Good", Tone: "good", Hint: "This works"},
	doctor.Note:    {Word: "Note", Tone: "calm", Hint: "Good to know"},
	doctor.Warning: {Word: "Warning", Tone: "warn", Hint: "Something will stop working, or leaves a gap"},
	doctor.Fault:   {Word: "Fault", Tone: "bad", Hint: "Something does not work"},
}

// showDoctor shows administrators what is wrong with a connection. The self-test is asked for by a link of its own:
// it leaves a trace, though it changes nothing.
func (s *Service) showDoctor(c *gin.Context) {
	if !s.administrator(c) {
		return
	}
	id, err := pathID(c)
	if err != nil {
		s.refuse(c, err)
		return
	}
	examiner := &doctor.Doctor{
		DB: s.DB, Directory: s.Directory, Signals: s.Signals, Streams: s.Streams, HTTP: s.OIDC.HTTP, Self: &http.Client{Timeout: 10 * time.Second},
		PublicURL: s.OIDC.PublicURL, Now: s.Now,
	}
	found, err := examiner.Diagnose(c.Request.Context(), s.reader(c).workspace(), id, doctor.Options{SelfTest: c.Query("self_test") != ""})
	if err != nil {
		s.refuse(c, err)
		return
	}
	s.show(c, http.StatusOK, "doctor", "Doctor", "connections", found)
}
