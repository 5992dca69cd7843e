package console

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

// logoutUser logs somebody out everywhere: of Postern, and of every app and receiver that is told. The receipt says what
// was done, and that it was said before if it was.
func (s *Service) logoutUser(c *gin.Context) {
	if !s.administrator(c) {
		return
	}
	id, err := pathID(c)
	if err != nil {
		s.refuse(c, err)
		return
	}
	receipt, err := s.Signals.LogOut(c.Request.Context(), s.cause(c), s.reader(c).workspace(), id)
	if err != nil {
		s.refuse(c, err)
		return
	}
	s.wake()
	c.Redirect(http.StatusSeeOther, "/signals/"+receipt.ID.String())
}
