package scim

func (s *Service) listGroups(r *request) (answer, error) {
	page, err := r.page()
	if err != nil {
		return answer{}, err
	}
	search, err := r.groupSearch()
	if err != nil {
		return answer{}, err
	}
	found, total, err := r.searchGroups(search, page)
	if err != nil {
		return answer{}, err
	}
	projection := r.projection(groupType)
	list := newList(total, page, len(found))
	for _, team := range found {
		o, err := r.fullGroup(team, projection)
		if err != nil {
			return answer{}, err
		}
		list.add(projection.Apply(o))
	}
	return list.answer(), nil
}
