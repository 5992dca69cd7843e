package idp

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// Plan is what becomes of a population: the state that is wanted after each cycle, the initial one
// first.
type Plan struct {
	Shape  Shape
	States []State
	// Departures and Returns are how often each person leaves and comes back.
	Departures map[int]int
	Returns    map[int]int
}

// Size says how large a plan is.
type Size struct {
	Users  int
	Groups int
	Cycles int // after the initial one
	// Leavers is how many of a hundred active people leave in each cycle; 0 is 4. Whoever lets more
	// than a fifth of the people go within an hour meets the guard of a server that has one.
	Leavers float64
}

// of is how many a share in percent of a number is, and one at least.
func of(number int, percent float64) int { return max(1, int(float64(number)*percent/100)) }

// NewPlan draws a plan. The same seed, shape and size give the same plan.
func NewPlan(seed uint64, shape Shape, size Size) *Plan {
	if size.Leavers == 0 {
		size.Leavers = 4
	}
	d := &draft{
		Rand: rand.New(rand.NewPCG(seed, 1)), shape: shape, tag: fmt.Sprintf("%06x", seed&0xffffff),
		plan: &Plan{Shape: shape, Departures: map[int]int{}, Returns: map[int]int{}},
	}
	d.initial(size)
	d.keep()
	for range size.Cycles {
		d.cycle(size)
		d.keep()
	}
	return d.plan
}

// draft is a plan being drawn: the state as it is by now.
type draft struct {
	*rand.Rand
	shape Shape
	tag   string // in every name, so that two runs against one server do not meet
	plan  *Plan
	now   State
	freed []Person // deleted, and nobody has their name again yet
}

func (d *draft) keep() { d.plan.States = append(d.plan.States, d.now.clone()) }

func (d *draft) initial(size Size) {
	for range size.Users {
		d.join("")
	}
	for i := range d.now.People {
		if d.IntN(10) > 0 { // one in ten has no manager
			d.now.People[i].Manager = d.other(i)
		}
	}
	for i := range size.Groups {
		// A few groups are large, most are small.
		d.found(max(1, size.Users/(5*(i+1))+d.IntN(max(2, size.Users/100))))
	}
}

// cycle is what happens between two cycles of the identity provider. Whoever has something happen to
// them in it has one thing happen, but for managers, who may change besides.
func (d *draft) cycle(size Size) {
	active := d.keysOf(Active)
	gone := d.keysOf(Inactive)
	take := func(count int) []int {
		count = min(count, len(active))
		taken := active[:count]
		active = active[count:]
		return taken
	}
	number := len(active)
	for _, key := range take(of(number, size.Leavers)) {
		d.leave(key)
	}
	for _, key := range take(of(number, 5)) {
		d.move(key)
	}
	for _, key := range take(of(number, 1)) {
		d.marry(key)
	}
	free := len(d.freed) // a name becomes free with the cycle that deletes its owner
	back := of(len(gone), 25)
	for i, key := range gone {
		switch {
		case i < back:
			d.now.People[key].Status = Active
			d.plan.Returns[key]++
			if !d.shape.entra() { // its groups are Okta's to give back; Entra ID never took them
				d.enlist(key)
			}
		case i < 2*back && d.shape.entra():
			d.purge(key)
		}
	}
	for i := range of(number, 1) {
		name := ""
		if free > 0 && (i == 0 || d.IntN(2) == 0) {
			name, d.freed, free = d.freed[0].UserName, d.freed[1:], free-1 // somebody new with the name of somebody deleted before
		}
		key := d.join(name)
		d.enlist(key)
	}
	for key := range d.now.People {
		p := &d.now.People[key]
		if p.Manager >= 0 && d.now.People[p.Manager].Status == Deleted || p.Status == Active && d.IntN(100) == 0 {
			p.Manager = d.other(key)
		}
	}
	d.regroup()
}

func (d *draft) regroup() {
	groups := d.groups()
	for i, key := range groups {
		switch {
		case i < of(len(groups), 2):
			d.now.Groups[key].Name = d.groupName(key) + " (renamed)"
		case i < of(len(groups), 2)+of(len(groups), 1) && len(groups) > 4:
			d.now.Groups[key].Status, d.now.Groups[key].Members = Deleted, map[int]bool{}
		}
	}
	for range of(len(groups), 2) {
		d.found(3 + d.IntN(10))
	}
}

var (
	givenNames  = []string{"Ana", "Bob", "Chloé", "Dmitri", "Élodie", "Fatima", "Giovanni", "Hyun-woo", "İpek", "Jürgen", "Karin", "Łukasz", "Maeve", "Nadia", "Ólafur", "Priya"}
	familyNames = []string{"Andersen", "Brontë", "Castro", "D’Angelo", "Eriksson", "Fischer", "García", "Horváth", "Ito", "Jansen", "Kowalski", "Lindqvist", "Müller", "Nguyễn", "O'Brien", "Peña"}
	departments = []string{"Sales", "Research & Development", "Finance", "Legal", "Support (EMEA)", "People"}
	titles      = []string{"Engineer", "Account Executive", "Analyst", "Team Lead", "Director, Operations", ""}
)

func pick(d *draft, from []string) string { return from[d.IntN(len(from))] }

// join adds a person, with a name of their own unless one is given.
func (d *draft) join(userName string) int {
	key := len(d.now.People)
	p := Person{
		Key: key, Status: Active, Given: pick(d, givenNames), Family: pick(d, familyNames), Department: pick(d, departments),
		Title: pick(d, titles), Number: fmt.Sprint(100000 + key), Manager: -1,
	}
	p.Display = p.Given + " " + p.Family
	p.UserName = userName
	if userName == "" {
		p.UserName = fmt.Sprintf("User.%05d.%s@example.com", key, d.tag)
	}
	p.Email = fmt.Sprintf("user+%05d.%s@example.com", key, d.tag)
	p.ExternalID = "00u" + d.tag + fmt.Sprintf("%011d", key)
	if d.shape.entra() {
		p.ExternalID = d.guid(uint64(key))
		if d.IntN(3) > 0 {
			p.Phone = fmt.Sprintf("+1 555 %07d", key)
		}
		if d.IntN(10) == 0 {
			p.Role = "Admin"
		}
	}
	d.now.People = append(d.now.People, p)
	return key
}

func (d *draft) guid(number uint64) string {
	return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%s%06x", d.Uint32(), d.IntN(1<<16), d.IntN(1<<12), d.IntN(1<<12), d.tag, number&0xffffff)
}

func (d *draft) leave(key int) {
	d.now.People[key].Status = Inactive
	d.plan.Departures[key]++
	if !d.shape.entra() { // Okta takes people out of the groups it pushes; Entra ID leaves the disabled in
		d.resign(key)
	}
}

func (d *draft) move(key int) {
	p := &d.now.People[key]
	p.Department, p.Title = pick(d, departments), pick(d, titles)
	if d.shape.entra() && p.Phone != "" {
		p.Phone = strings.Replace(p.Phone, "555", fmt.Sprint(556+d.IntN(100)), 1)
	}
	if groups := d.groups(); len(groups) > 1 {
		delete(d.now.Groups[groups[0]].Members, key)
		d.now.Groups[groups[1]].Members[key] = true
	}
}

// marry changes the names of a person, and with them how they sign in.
func (d *draft) marry(key int) {
	p := &d.now.People[key]
	p.Family = pick(d, familyNames) + "-" + p.Family
	p.Display = p.Given + " " + p.Family
	p.UserName = fmt.Sprintf("User.%05d.%d.%s@example.com", key, len(d.plan.States), d.tag)
	p.Email = fmt.Sprintf("new+%05d.%d.%s@example.com", key, len(d.plan.States), d.tag)
}

// purge deletes a person for good, as Entra ID does thirty days after.
func (d *draft) purge(key int) {
	d.now.People[key].Status = Deleted
	d.freed = append(d.freed, d.now.People[key])
	d.resign(key)
}

func (d *draft) enlist(key int) {
	groups := d.groups()
	for _, group := range groups[:min(2, len(groups))] {
		d.now.Groups[group].Members[key] = true
	}
}

func (d *draft) resign(key int) {
	for i := range d.now.Groups {
		delete(d.now.Groups[i].Members, key)
	}
}

// found adds a group of that many active people.
func (d *draft) found(count int) {
	key := len(d.now.Groups)
	group := Group{Key: key, Status: Active, Members: map[int]bool{}}
	group.Name = d.groupName(key)
	if d.shape.entra() {
		group.ExternalID = d.guid(uint64(1<<23 + key))
	}
	active := d.keysOf(Active)
	for _, member := range active[:min(count, len(active))] {
		group.Members[member] = true
	}
	d.now.Groups = append(d.now.Groups, group)
}

func (d *draft) groupName(key int) string {
	return fmt.Sprintf("%s / Équipe %03d %s.%d", departments[key%len(departments)], key, d.tag, len(d.plan.States))
}

// other is an active person who is not that one, or nobody.
func (d *draft) other(key int) int {
	for range 20 {
		if one := d.IntN(len(d.now.People)); one != key && d.now.People[one].Status == Active {
			return one
		}
	}
	return -1
}

// keysOf is everybody of a status, in random order.
func (d *draft) keysOf(status Status) []int {
	var keys []int
	for key, p := range d.now.People {
		if p.Status == status {
			keys = append(keys, key)
		}
	}
	d.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	return keys
}

// groups is every group there is, in random order.
func (d *draft) groups() []int {
	var keys []int
	for key, group := range d.now.Groups {
		if group.Status == Active {
			keys = append(keys, key)
		}
	}
	d.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	return keys
}

// sorted is the members of a group in the order of their keys.
func sorted(members map[int]bool) []int {
	keys := make([]int, 0, len(members))
	for key := range members {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
