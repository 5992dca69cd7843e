package scim

func (s *Service) listUsers(r *request) (answer, error) {
	page, err := r.page()
	if err != nil {
		return answer{}, err
	}
	search, err := r.userSearch()
	if err != nil {
		return answer{}, err
	}
	projection := r.projection(userType)
	found, total, err := r.searchUsers(search, page)
	if err != nil {
		return answer{}, err
	}
	list := newList(total, page, len(found))
	for _, user := range found {
		o, err := r.fullUser(user, projection)
		if err != nil {
			return answer{}, err
		}
		list.add(projection.Apply(o))
	}
	return list.answer(), nil
}
