-- What is asked about service accounts is looked through whenever one of them changes; what is asked about people is not.
create index review_items_services on review_items (workspace_id) where kind = 'service_account' and decision is null;
