-- RFC 9967 as published writes scim in its event types small; the drafts before it had capitals. Streams that are there
-- go on with the published names.
update transmitter_streams set
	requested = array(select replace(one, 'urn:ietf:params:SCIM:event:', 'urn:ietf:params:scim:event:') from unnest(requested) with ordinality as t(one, place) order by place),
	delivered = array(select replace(one, 'urn:ietf:params:SCIM:event:', 'urn:ietf:params:scim:event:') from unnest(delivered) with ordinality as t(one, place) order by place)
where requested::text || delivered::text like '%urn:ietf:params:SCIM:event:%';
