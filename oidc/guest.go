package oidc

import (
	"net/http"
	"net/url"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
	"postern/core/seal"
)

// GuestPath is where people sign in whom no identity provider vouches for.
const GuestPath = "/guest"

// SameOrigin refuses a changing request that another site's page made, where nobody has to be signed in.
func (s *Service) SameOrigin() gin.HandlerFunc {
	crossOrigin := s.crossOrigin()
	return func(c *gin.Context) {
		if err := crossOrigin.Check(c.Request); err != nil {
			s.stop(c, core.Denied("this request was made by another site's page").WithCode(codeCrossOrigin).Because(err))
			return
		}
		c.Next()
	}
}

// stepUpGuest has a guest prove their mailbox once more. More than that they cannot prove.
func (s *Service) stepUpGuest(c *gin.Context, lacks directory.StepUp, returnTo string) {
	if len(lacks.ACRValues) > 0 {
		s.refuse(c, directory.Connection{}, returnTo, core.Denied("this workspace asks for a proof that guests cannot give").WithCode(codeWeakProof))
		return
	}
	c.Redirect(http.StatusSeeOther, GuestPath+"?"+url.Values{"return_to": {returnTo}}.Encode())
}

// Begin gives this browser a session that was begun without an identity provider, and ends the one it had.
func (s *Service) Begin(c *gin.Context, token seal.Secret) error {
	before, holder, replaces := s.Current(c)
	if replaces {
		ctx := c.Request.Context()
		err := s.DB.Tx(ctx, func(tx pgx.Tx) error {
			return s.Directory.EndSession(ctx, tx, s.cause(c, holder.Actor()), before.Workspace, before.ID, "replaced by a new sign-in")
		})
		if err != nil {
			return err
		}
	}
	setCookie(c, SessionCookie, token.Reveal(), 0)
	return nil
}
