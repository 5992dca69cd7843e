package console

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/directory"
	"postern/core/journal"
	"postern/core/lifecycle"
)

// expiresSoon is from when on a token's end is pointed out: time enough to replace it.
const expiresSoon = 14 * 24 * time.Hour

// provider is one connection of the list.
type provider struct {
	directory.Connection
	Kind    string // as a person says it
	Profile string
	Guard   string
	Days    int // requests are kept
	SCIM    string
	Users   int
	Active  int
	Last    *asked // the latest request
	Tokens  []access
	Clients []access
	Streams []heard
	Hold    *lifecycle.Hold // open
}

// access is a token or a client, and how long it still works.
type access struct {
	ID       core.ID
	Name     string
	Created  time.Time
	LastUsed *time.Time
	Expires  *time.Time
	Dead     bool
	Soon     bool
}

// connectionsPage is the identity providers of the workspace.
type connectionsPage struct {
	Providers []provider
	Token     string // address of the token endpoint
}

var connectionKinds = map[directory.ConnectionKind]string{directory.Okta: "Okta", directory.Entra: "Microsoft Entra ID", directory.Generic: "SCIM 2.0"}

var profiles = map[directory.ProvisioningProfile]string{
	directory.ProfileOkta: "Okta", directory.ProfileEntra: "Entra ID", directory.ProfileGeneric: "generic", directory.ProfileStrict: "strict: the RFCs to the letter",
}

// administrator refuses everybody else, and tells whether it did.
func (s *Service) administrator(c *gin.Context) bool {
	if s.reader(c).admin() {
		return true
	}
	s.refuse(c, core.Denied("only administrators see this").WithCode("not_administrator"))
	return false
}

// listConnections shows administrators the identity providers and how they get in.
func (s *Service) listConnections(c *gin.Context) {
	if !s.administrator(c) {
		return
	}
	ctx, workspace := c.Request.Context(), s.reader(c).workspace()
	page := connectionsPage{Token: s.address("/scim/oauth/token")}
	connections, err := s.Directory.Connections(ctx, s.DB, workspace)
	if err != nil {
		s.refuse(c, err)
		return
	}
	holds, err := s.Lifecycle.Holds(ctx, s.DB, workspace, true)
	if err != nil {
		s.refuse(c, err)
		return
	}
	for _, connection := range connections {
		one, err := s.provider(ctx, connection)
		if err != nil {
			s.refuse(c, err)
			return
		}
		if at := slices.IndexFunc(holds, func(hold lifecycle.Hold) bool { return hold.Connection == connection.ID }); at >= 0 {
			one.Hold = &holds[at]
		}
		page.Providers = append(page.Providers, one)
	}
	s.show(c, http.StatusOK, "connections", "Connections", "connections", page)
}

func (s *Service) provider(ctx context.Context, connection directory.Connection) (provider, error) {
	settings := connection.Provisioning
	one := provider{
		Connection: connection, Kind: connectionKinds[connection.Kind], Profile: profileInForce(connection), Guard: guardOf(settings),
		Days: settings.JournalDays, SCIM: s.address("/scim/v2"),
	}
	if one.Days == 0 {
		one.Days = journal.DefaultDays
	}
	if connection.Kind == directory.Entra {
		one.SCIM += "?aadOptscim062020"
	}
	var err error
	if one.Users, one.Active, err = s.Directory.CountUsers(ctx, s.DB, connection.Workspace, connection.ID); err != nil {
		return provider{}, err
	}
	latest, err := journal.List(ctx, s.DB, connection.Workspace, journal.Query{Connection: connection.ID, Newest: true, Changes: true, Limit: 1})
	if err != nil {
		return provider{}, err
	}
	told, err := s.tellRequests(ctx, connection.Workspace, latest)
	if err != nil {
		return provider{}, err
	}
	if len(told) > 0 {
		one.Last = &told[0]
	}
	tokens, err := s.Directory.ConnectionTokens(ctx, s.DB, connection.Workspace, connection.ID)
	if err != nil {
		return provider{}, err
	}
	for _, token := range tokens {
		one.Tokens = append(one.Tokens, s.access(token.ID, token.ID.String(), token.Created, token.LastUsed, token.Expires))
	}
	if one.Streams, err = s.heardOf(ctx, connection); err != nil {
		return provider{}, err
	}
	clients, err := s.Directory.ConnectionClients(ctx, s.DB, connection.Workspace, connection.ID)
	if err != nil {
		return provider{}, err
	}
	for _, client := range clients {
		one.Clients = append(one.Clients, s.access(client.ID, client.ClientID, client.Created, client.LastUsed, client.Expires))
	}
	return one, nil
}

func (s *Service) access(id core.ID, name string, created time.Time, used, expires *time.Time) access {
	one := access{ID: id, Name: name, Created: created, LastUsed: used, Expires: expires}
	if expires != nil {
		one.Dead = !expires.After(s.now())
		one.Soon = !one.Dead && expires.Before(s.now().Add(expiresSoon))
	}
	return one
}

// profileInForce says which profile a connection's requests are read with, and why it is that one.
func profileInForce(connection directory.Connection) string {
	if name := profiles[connection.Provisioning.Profile]; name != "" {
		return name + " (set)"
	}
	switch connection.Kind {
	case directory.Okta, directory.Entra:
		return profiles[directory.ProvisioningProfile(connection.Kind)]
	}
	return "detected from what it sends"
}

// guardOf says what may leave within an hour unasked.
func guardOf(settings directory.Provisioning) string {
	if settings.GuardFloor < 0 {
		return "off"
	}
	share, floor := settings.GuardShare, settings.GuardFloor
	if share == 0 {
		share = directory.DefaultGuardShare
	}
	if floor == 0 {
		floor = directory.DefaultGuardFloor
	}
	return allowance(share, floor) + " within an hour"
}

// address is one of Postern's own, as an identity provider needs it.
func (s *Service) address(path string) string {
	return strings.TrimSuffix(s.OIDC.PublicURL, "/") + path
}
