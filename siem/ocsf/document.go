package ocsf

import "encoding/json"

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
	StatusDetail string `json:"status_detail,omitempty"`
	Time         int64  `json:"time"`
	Message      string `json:"message"`

	Metadata    metadata     `json:"metadata"`
	Actor       *actor       `json:"actor,omitempty"`
	SrcEndpoint *endpoint    `json:"src_endpoint,omitempty"`
	HTTPRequest *httpRequest `json:"http_request,omitempty"`

	User       *user      `json:"user,omitempty"`
	Group      *group     `json:"group,omitempty"`
	Entity     *entity    `json:"entity,omitempty"`
	Session    *session   `json:"session,omitempty"`
	Service    *service   `json:"service,omitempty"`
	API        *api       `json:"api,omitempty"`
	Privileges []string   `json:"privileges,omitempty"`
	Resource   *resource  `json:"resource,omitempty"`
	Resources  []resource `json:"resources,omitempty"`

	Unmapped unmapped `json:"unmapped"`
}

type metadata struct {
	Version        string  `json:"version"`
	Product        product `json:"product"`
	UID            string  `json:"uid"`
	EventCode      string  `json:"event_code"`
	Sequence       int64   `json:"sequence"`
	CorrelationUID string  `json:"correlation_uid,omitempty"`
	TenantUID      string  `json:"tenant_uid"`
	LogName        string  `json:"log_name"`
	LoggedTime     int64   `json:"logged_time,omitempty"`
	OriginalTime   string  `json:"original_time"`
	IsTruncated    bool    `json:"is_truncated,omitempty"`
}

type product struct {
	Name       string `json:"name"`
	VendorName string `json:"vendor_name"`
	Version    string `json:"version,omitempty"`
}

type user struct {
	UID    string `json:"uid,omitempty"`
	Name   string `json:"name,omitempty"`
	TypeID int    `json:"type_id"`
	Type   string `json:"type,omitempty"`
}

type actor struct {
	User    *user  `json:"user,omitempty"`
	AppName string `json:"app_name,omitempty"`
	AppUID  string `json:"app_uid,omitempty"`
}

type endpoint struct {
	IP   string `json:"ip,omitempty"`
	Name string `json:"name,omitempty"`
}

type httpRequest struct {
	UserAgent string `json:"user_agent"`
}

type group struct {
	UID  string `json:"uid,omitempty"`
	Name string `json:"name,omitempty"`
}

type entity struct {
	UID  string `json:"uid,omitempty"`
	Name string `json:"name,omitempty"`
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
	UID  string `json:"uid,omitempty"`
	Name string `json:"name,omitempty"`
	Type string `json:"type"`
}

// unmapped is what OCSF has no field for: the event as it was hashed and its link in the chain.
type unmapped struct {
	Event    json.RawMessage `json:"event,omitempty"`
	Previous string          `json:"previous"` // hexadecimal
	Hash     string          `json:"hash"`     // hexadecimal
}
