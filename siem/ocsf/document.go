package ocsf

import "github.com/go-json-experiment/json/jsontext"

// document is one OCSF event. Fields a class does not have stay empty for it.
type document struct {
	ActivityID   int    `json:"activity_id"`
	ActivityName string `json:"activity_name"`
	CategoryUID  int    `json:"category_uid"`
	CategoryName string `json:"category_name"`
	ClassUID     int    `json:"class_uid"`
	ClassName    string `json:"class_name"`
	TypeUID      int    `json:"type_uid"`
	TypeName     string `json:"type_name"`
	SeverityID   int    `json:"severity_id"`
	Severity     string `json:"severity"`
	StatusID     int    `json:"status_id"`
	Status       string `json:"status"`
	StatusDetail string `json:"status_detail,omitzero"`
	Time         int64  `json:"time"`
	Message      string `json:"message"`

	Metadata    metadata     `json:"metadata"`
	Actor       *actor       `json:"actor,omitzero"`
	SrcEndpoint *endpoint    `json:"src_endpoint,omitzero"`
	HTTPRequest *httpRequest `json:"http_request,omitzero"`

	User       *user      `json:"user,omitzero"`
	Group      *group     `json:"group,omitzero"`
	Entity     *entity    `json:"entity,omitzero"`
	Session    *session   `json:"session,omitzero"`
	Service    *service   `json:"service,omitzero"`
	API        *api       `json:"api,omitzero"`
	Privileges []string   `json:"privileges,omitzero"`
	Resource   *resource  `json:"resource,omitzero"`
	Resources  []resource `json:"resources,omitzero"`

	// What is unmapped follows; see encode.
}

type metadata struct {
	Version        string  `json:"version"`
	Product        product `json:"product"`
	UID            string  `json:"uid"`
	EventCode      string  `json:"event_code"`
	Sequence       int64   `json:"sequence"`
	CorrelationUID string  `json:"correlation_uid,omitzero"`
	TenantUID      string  `json:"tenant_uid"`
	LogName        string  `json:"log_name"`
	LoggedTime     int64   `json:"logged_time,omitzero"`
	OriginalTime   string  `json:"original_time"`
	IsTruncated    bool    `json:"is_truncated,omitzero"`
}

type product struct {
	Name       string `json:"name"`
	VendorName string `json:"vendor_name"`
	Version    string `json:"version,omitzero"`
}

type user struct {
	UID    string `json:"uid,omitzero"`
	Name   string `json:"name,omitzero"`
	TypeID int    `json:"type_id"`
	Type   string `json:"type,omitzero"`
}

type actor struct {
	User    *user  `json:"user,omitzero"`
	AppName string `json:"app_name,omitzero"`
	AppUID  string `json:"app_uid,omitzero"`
}

type endpoint struct {
	IP   string `json:"ip,omitzero"`
	Name string `json:"name,omitzero"`
}

type httpRequest struct {
	UserAgent string `json:"user_agent"`
}

type group struct {
	UID  string `json:"uid,omitzero"`
	Name string `json:"name,omitzero"`
}

type entity struct {
	UID  string `json:"uid,omitzero"`
	Name string `json:"name,omitzero"`
	Type string `json:"type"`
}

type session struct {
	UID string `json:"uid"`
}

type service struct {
	Name string `json:"name"`
}

type api struct {
	Operation string  `json:"operation"`
	Service   service `json:"service"`
}

type resource struct {
	UID  string `json:"uid,omitzero"`
	Name string `json:"name,omitzero"`
	Type string `json:"type"`
}

// unmapped is what OCSF has no field for, as it is read back: the event as it was hashed and its link in the chain.
type unmapped struct {
	Event    jsontext.Value `json:"event,omitzero"`
	Previous string         `json:"previous"` // hexadecimal
	Hash     string         `json:"hash"`     // hexadecimal
}
