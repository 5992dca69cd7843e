package console

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

// logoutUser logs somebody out everywhere: of Postern, and of every app and receiver that is told.
func (s *Service) logoutUser(c *gin.Context) {
	if !s.administrator(c) {
		return
	}
	id, err := pathID(c)
	if err != nil {
		s.refuse(c, err)
		return
	}
	if _, err := s.Lifecycle.Logout(c.Request.Context(), s.cause(c), s.reader(c).workspace(), id); err != nil {
		s.refuse(c, err)
		return
	}
	s.wake()
	c.Redirect(http.StatusSeeOther, "/users/"+id.String())
}
