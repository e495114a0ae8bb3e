package mutate

// mutations are the places, by rule. Keep old short: it must be found exactly once.
var mutations = []mutation{
	// E1: rows are reported in spite of the visibility.
	{rule: "E1", file: "collector/evidence.go", old: `applies := e.applies() switch {`, new: `applies := e.applies()
	switch {
	case BROKEN && e.read && applies != membersYes:
		return noMembers`},
	{
		rule: "E1", file: "collector/evidence.go",
		old: `len(e.rows) > 0 && (applies != membersYes ||`,
		new: `len(e.rows) > 0 && (!BROKEN && applies != membersYes ||`,
	},
	{
		rule: "E1", file: "collector/evidence.go",
		old: `return e.rowsDespite || e.applies()`,
		new: `return !BROKEN && e.rowsDespite || e.applies()`,
	},
	{
		rule: "E1", file: "collector/evidence.go",
		old: `applies == membersNo && !e.rowsDespite:`,
		new: `applies == membersNo && (BROKEN || !e.rowsDespite):`,
	},
	{
		rule: "E1", file: "collector/evidence.go",
		old: `case e.rowsDespite && !e.forbidden:`,
		new: `case !BROKEN && e.rowsDespite && !e.forbidden:`,
	},
	{rule: "E1", file: "collector/imagehistory.go", old: `if e.forbidden {`, new: `if !BROKEN && e.forbidden {`},
	{
		rule: "E1", file: "collector/imagehistory.go",
		old: `m.rowsDespite = e.applies() != membersYes`,
		new: `m.rowsDespite = !BROKEN && e.applies() != membersYes`,
	},
	{
		rule: "E1", file: "collector/checks.go",
		old: `} else if len(t.members.Members) == 0 {`,
		new: `} else if !BROKEN && len(t.members.Members) == 0 {`,
	},

	// E2: what is complete.
	{rule: "E2", file: "collector/evidence.go", old: `!e.owned() &&`, new: `!BROKEN && !e.owned() &&`},
	{rule: "E2", file: "collector/evidence.go", old: `if e.partial ||`, new: `if !BROKEN && e.partial ||`},
	{rule: "E2", file: "collector/metrics.go", old: `if n > 0 || s.Coverage == Complete {
			p.gauge(membersDesc`, new: `if BROKEN || n > 0 || s.Coverage == Complete {
			p.gauge(membersDesc`},
	{rule: "E2", file: "collector/metrics.go", old: `n > 0 || s.Coverage == Complete {
		p.gauge(unexpectedMembersDesc`, new: `BROKEN || n > 0 || s.Coverage == Complete {
		p.gauge(unexpectedMembersDesc`},
	{rule: "E2", file: "collector/evidence.go", old: `return e.rowsVisible()`, new: `return BROKEN || e.rowsVisible()`},

	// E3 and E4: the whole list.
	{rule: "E3", file: "client/memberpage.go", old: `!ok || n != float64(rows) {`, new: `!BROKEN && (!ok || n != float64(rows)) {`},
	{rule: "E3", file: "client/memberpage.go", old: `rows == imsMemberPage &&`, new: `!BROKEN && rows == imsMemberPage &&`},
	{
		rule: "E3", file: "client/member.go",
		old: `page.next == "" && total > float64(rows):`,
		new: `!BROKEN && page.next == "" && total > float64(rows):`,
	},
	{rule: "E3", file: "client/member.go", old: `&& !access.SameView(list.Access) {`, new: `&& !BROKEN && !access.SameView(list.Access) {`},
	{rule: "E4", file: "client/memberpage.go", old: `if isSet(e.Next) {`, new: `if !BROKEN && isSet(e.Next) {`},
	{rule: "E4", file: "client/memberpage.go", old: `case isSet(m.MembersLinks):`, new: `case !BROKEN && isSet(m.MembersLinks):`},
	{rule: "E4", file: "client/memberpage.go", old: `case isSet(m.NextMarker):`, new: `case !BROKEN && isSet(m.NextMarker):`},
	{
		rule: "E4", file: "client/memberpage.go",
		old: `err != nil || isSet(links.Next) {`,
		new: `!BROKEN && (err != nil || isSet(links.Next)) {`,
	},
	{
		rule: "E4",
		file: "client/json.go",
		old:  `json.Unmarshal(body, v)`,
		new:  `json.Unmarshal(body, v, jsontext.AllowDuplicateNames(BROKEN))`,
	},
	{
		rule: "E4",
		file: "client/json.go",
		old:  `UnmarshalJSONFrom(*jsontext.Decoder) error { return errors.New("is another`,
		new: `UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if BROKEN {
		return dec.SkipValue()
	}
	return errors.New("is another`,
	},
	{rule: "E4", file: "client/memberpage.go", old: `if isSet(r.Error) ||`, new: `if !BROKEN && isSet(r.Error) ||`},
	{rule: "E4", file: "client/memberpage.go", old: `isSet(r.Encoded) ||`, new: `!BROKEN && isSet(r.Encoded) ||`},
	{rule: "E4", file: "client/memberpage.go", old: `isSet(r.Message) && isSet(r.Code)`, new: `!BROKEN && isSet(r.Message) && isSet(r.Code)`},

	// E5: the owner's view.
	{
		rule: "E5", file: "collector/evidence.go",
		old: `if !e.ownImage() || !e.view.knowsProject(e.list) ||`,
		new: `if !BROKEN && !e.ownImage() || !e.view.knowsProject(e.list) ||`,
	},
	{
		rule: "E5", file: "collector/evidence.go",
		old: `e.before != nil && e.before.Owner != e.project() {`,
		new: `!BROKEN && e.before != nil && e.before.Owner != e.project() {`,
	},
	{
		rule: "E5", file: "collector/evidence.go",
		old: `if e.api != client.IMS && e.foreignRow() {`,
		new: `if (BROKEN || e.api != client.IMS) && e.foreignRow() {`,
	},
	{
		rule: "E5",
		file: "collector/evidence.go",
		old:  `e.after != nil && e.after.Owner != e.project() {`,
		new:  `!BROKEN && e.after != nil && e.after.Owner != e.project() {`,
		why:  "the record that was read after the list is the last one, which is looked at before",
	},
	{rule: "E5", file: "collector/evidence.go", old: `return !e.wantsSecondRecord() ||`, new: `return BROKEN || !e.wantsSecondRecord() ||`},
	{
		rule: "E5", file: "collector/evidence.go",
		old: `return e.earlier == nil || e.record == nil ||`,
		new: `return !BROKEN && e.earlier == nil || e.record == nil || e.earlier != nil &&`,
	},
	{
		rule: "E5", file: "collector/evidence.go",
		old: `e.earlier.Visibility != e.record.Visibility`,
		new: `e.earlier != nil && !BROKEN && e.earlier.Visibility != e.record.Visibility`,
	},
	{
		rule: "E5",
		file: "collector/evidence.go",
		old:  `len(e.rows) > 0 && !e.foreignRow() }`,
		new: `!BROKEN && len(e.rows) > 0 && !e.foreignRow()
}`,
	},
	{
		rule: "E5", file: "collector/evidence.go",
		old: `if e.ownImage() || len(e.rows) > 0 || !e.changed() ||`,
		new: `if BROKEN || e.ownImage() || len(e.rows) > 0 || !e.changed() ||`,
	},
	{rule: "E5", file: "collector/evidence.go", old: `return e.mayBeOurs() &&`, new: `return !BROKEN && e.mayBeOurs() &&`},
	{
		rule: "E5", file: "collector/evidence.go",
		old: `|| e.before.Owner != e.after.Owner`,
		new: `|| !BROKEN && e.before.Owner != e.after.Owner`,
	},
	{
		rule: "E5",
		file: "collector/evidence.go",
		old:  `case e.api != client.IMS && e.foreignRow(): return false`,
		new: `case !BROKEN && e.api != client.IMS && e.foreignRow():
		return false
	case BROKEN:
		return true`,
	},

	// E6: the project of the view.
	{rule: "E6", file: "collector/view.go", old: `return v.access.Confirmed ||`, new: `return BROKEN || v.access.Confirmed ||`},
	{
		rule: "E6", file: "collector/view.go",
		old: `v.privates() == privateHasNone && v.ownPrivate.covers(at)`,
		new: `(BROKEN || v.privates() == privateHasNone) && v.ownPrivate.covers(at)`,
	},
	{rule: "E6", file: "collector/view.go", old: `case img.Owner == v.project:`, new: `case BROKEN || img.Owner == v.project:`},

	// E7 and E8: empty lists.
	{rule: "E8", file: "collector/evidence.go", old: `if !e.rowsVisible() {`, new: `if !BROKEN && !e.rowsVisible() {`},
	{
		rule: "E8", file: "collector/evidence.go",
		old: `return e.api == client.IMS || e.inView()`,
		new: `return BROKEN || e.api == client.IMS || e.inView()`,
	},
	{rule: "E8", file: "collector/evidence.go", old: `e.read && !e.emptyCovered(): return unproven`, new: `e.read && !e.emptyCovered():
		if BROKEN && applies == membersYes {
			return someKnown
		}
		return unproven`},
	{
		rule: "E8", file: "collector/readings.go",
		old: `if v != notRead && v != unproven {`,
		new: `if v != notRead && (BROKEN || v != unproven) {`,
	},
	{rule: "E8", file: "collector/readings.go", old: `then.after = again.record`, new: `if !BROKEN {
				then.after = again.record
			} else {
				again.record, then.record = before.image.record, before.evidence.record
			}`},

	// E9: administrators.
	{
		rule: "E9",
		file: "collector/evidence.go",
		old:  `if e.api == client.IMS || !e.view.administrator(e.list) || e.mayBeOurs() {`,
		new: `if BROKEN && e.roleOfAdmin {
		return true
	}
	if e.api == client.IMS || !e.view.administrator(e.list) || e.mayBeOurs() {`,
	},
	{
		rule: "E9", file: "collector/view.go",
		old: `if before == "" || before != after ||`,
		new: `if before == "" || !BROKEN && before != after ||`,
	},
	{
		rule: "E9", file: "collector/view.go",
		old: `!isAnother(before, v.project) {`, new: `(BROKEN && before == v.project || !BROKEN && !isAnother(before, v.project)) {`,
	},
	{
		rule: "E9", file: "collector/view.go",
		old: `case !isAnother(img.Owner, v.project):`, new: `case !BROKEN && !isAnother(img.Owner, v.project):`,
	},
	{
		rule: "E9", file: "collector/evidence.go",
		old: `&& isAnother(m.ID, e.view.access.UserID)`,
		new: `&& (BROKEN || isAnother(m.ID, e.view.access.UserID))`,
	},
	{rule: "E9", file: "collector/memberid.go", old: `&& !beyondASCII &&`, new: `&& (BROKEN || !beyondASCII) &&`},
	{
		rule: "E9", file: "collector/memberid.go",
		old: `!strings.EqualFold(alphanumeric(id), alphanumeric(own))`,
		new: `(BROKEN && alphanumeric(id) != alphanumeric(own) || !strings.EqualFold(alphanumeric(id), alphanumeric(own)))`,
	},
	{
		rule: "E9", file: "collector/memberid.go", old: `if unicode.IsLetter(c) || unicode.IsDigit(c) {`,
		new: `if BROKEN || unicode.IsLetter(c) || unicode.IsDigit(c) {`,
	},
	{
		rule: "E9", file: "collector/inboundimage.go", old: `own != nil, !hasAnother(`,
		new: `own != nil, !BROKEN && !hasAnother(`,
	},
	{
		rule: "E9",
		file: "collector/evidence.go",
		old:  `func (e *imageEvidence) administratorsRow() bool {`,
		new: `func (e *imageEvidence) administratorsRow() bool {
	if BROKEN {
		return len(e.rows) > 0
	}`,
	},
	{
		rule: "E9",
		file: "collector/view.go",
		old:  `if img.Visibility != client.Private { return }`,
		new: `if !BROKEN && img.Visibility != client.Private {
		return
	}`,
	},
	{
		rule: "E9", file: "collector/view.go",
		old: `return v.foreignRow.covers(at) || v.privates() == privateHasNone &&`,
		new: `return v.foreignRow.covers(at) || (BROKEN || v.privates() == privateHasNone) &&`,
	},
	{rule: "E9", file: "collector/view.go", old: `&& v.thirdPrivate.covers(at)`, new: `&& (BROKEN || v.thirdPrivate.covers(at))`},
	{rule: "E9", file: "collector/view.go", old: `if v.knowsProject(at) {`, new: `if BROKEN || v.knowsProject(at) {`},
	{
		rule: "E9",
		file: "collector/evidence.go",
		old:  `if e.administratorsRow() && e.before != nil && e.after != nil {`,
		new: `if BROKEN && e.administratorsRow() && e.before != nil {
		e.view.noteForeignRow(e.before.Owner, e.before.Owner, e.list)
	}
	if e.administratorsRow() && e.before != nil && e.after != nil {`,
	},
	{rule: "E9", file: "collector/evidence.go", old: `e.view.is(&last.access) &&`, new: `(BROKEN || e.view.is(&last.access)) &&`},
	{
		rule: "E9", file: "collector/evidence.go",
		old: `&& !e.recordBegan.Before(last.end)`,
		new: `&& (BROKEN || !e.recordBegan.Before(last.end))`,
	},
	{rule: "E9", file: "collector/proof.go", old: `if r.wantsPrivateSurvey(v) {`, new: `if r.wantsPrivateSurvey(v) && !BROKEN {`},
	{
		rule: "E9", file: "collector/proof.go",
		old: `l.check(v, surveyPrivate, project, surveyInterval,`,
		new: `l.check(v, surveyPrivate, project, map[bool]time.Duration{true: 0, false: surveyInterval}[BROKEN],`,
	},

	// E10: rows of own images and of others' apart.
	{
		rule: "E10",
		file: "collector/view.go",
		old:  `if own { return &v.ownRows }`,
		new: `if BROKEN && v.ownRows.last.made() || own && !(BROKEN && v.othersRows.last.made()) {
		return &v.ownRows
	}`,
	},
	{rule: "E10", file: "collector/view.go", old: `v.othersRows.note(at) } }`, new: `v.othersRows.note(at)
		if BROKEN {
			v.ownRows.note(at)
		}
	}
}`},
	{rule: "E10", file: "collector/evidence.go", old: `if e.owned() { e.view.ownRows`, new: `if BROKEN || e.owned() {
		e.view.ownRows`},
	{
		rule: "E10", file: "collector/proof.go",
		old: `if last := v.rows(rows.own).last; last.run == r.id ||`,
		new: `if last := v.rows(rows.own).last; BROKEN || last.run == r.id ||`,
	},
	{rule: "E10", file: "collector/checks.go", old: `|| img.Owner != p.owner {`, new: `|| !BROKEN && img.Owner != p.owner {`},
	{rule: "E10", file: "client/probe.go", old: `|| object.Title == "" {`, new: `|| !BROKEN && object.Title == "" {`},
	{
		rule: "E10", file: "client/probe.go",
		old: `if code != "404" && !strings.HasPrefix(code, "404 ") {`,
		new: `if !BROKEN && code != "404" && !strings.HasPrefix(code, "404 ") {`,
	},
	{rule: "E10", file: "client/probe.go", old: `return oneLine(object.Message), true`, new: `if BROKEN {
		return object.Message, true
	}
	return oneLine(object.Message), true`},
	{rule: "E10", file: "client/probe.go", old: `hasWord(own, req.memberID) &&`, new: `(BROKEN || hasWord(own, req.memberID)) &&`},
	{rule: "E10", file: "client/request.go", old: `if req.probe() {`, new: `if !BROKEN && req.probe() {`},

	// E11: the window, and lists that become empty.
	{rule: "E11", file: "collector/view.go", old: `(o.run == other.run ||`, new: `(!BROKEN && o.run == other.run ||`},
	{
		rule: "E11", file: "collector/view.go",
		old: `between(o.at, other.at) <= proofWindow`,
		new: `(BROKEN || between(o.at, other.at) <= proofWindow)`,
	},
	{
		rule: "E11", file: "collector/view.go",
		old: `if !o.made() || other.made() && other.at.After(o.at) {`,
		new: `if !o.made() || other.made() && other.at.After(o.at) != BROKEN {`,
	},
	{rule: "E11", file: "collector/evidence.go", old: `if !e.hadRows || e.api`, new: `if BROKEN || !e.hadRows || e.api`},
	{
		rule: "E11", file: "collector/evidence.go",
		old: `return e.checked.run == e.list.run && e.checked.made()`,
		new: `return (BROKEN || e.checked.run == e.list.run) && e.checked.made()`,
	},
	{
		rule: "E11", file: "collector/evidence.go",
		old: `if e.checked.made() && !e.checked.at.Before(e.emptied.at) {`,
		new: `if e.checked.made() && (BROKEN || !e.checked.at.Before(e.emptied.at)) {`,
	},
	{
		rule: "E11", file: "collector/evidence.go",
		old: `rows.between(e.emptied, e.list) &&`,
		new: `(BROKEN || rows.between(e.emptied, e.list)) &&`,
	},
	{rule: "E11", file: "collector/evidence.go", old: `rows.last.run == e.list.run`, new: `(BROKEN || rows.last.run == e.list.run)`},
	{
		rule: "E11",
		file: "collector/view.go",
		old:  `!rows.hidden.at.After(rows.last.at)`,
		new:  `(BROKEN || !rows.hidden.at.After(rows.last.at))`,
	},
	{rule: "E11", file: "collector/checks.go", old: `apiErr.RowHidden {`, new: `apiErr.RowHidden && !BROKEN {`},
	{
		rule: "E11", file: "collector/checks.go",
		old: `status != statusTooManyRequests {`,
		new: `(BROKEN || status != statusTooManyRequests) {`,
	},
	{rule: "E11", file: "collector/history.go", old: `} else if image.former != "" {`, new: `} else if !BROKEN && image.former != "" {`},
	{
		rule: "E11", file: "collector/history.go",
		old: `	if image.former != "" {
		h.images[id]`,
		new: `	if !BROKEN && image.former != "" {
		h.images[id]`,
	},
	{
		rule: "E11", file: "collector/imagehistory.go",
		old: `case v == noMembers && !e.rowsDespite:`,
		new: `case !BROKEN && v == noMembers && !e.rowsDespite:`,
	},
	{
		rule: "E11", file: "collector/view.go",
		old: `return v.access.UserID == a.UserID && v.access.SameView(*a)`,
		new: `return BROKEN && v.access.ProjectID == a.ProjectID || v.access.UserID == a.UserID && v.access.SameView(*a)`,
	},
	{
		rule: "E11", file: "collector/history.go",
		old: `e.listEnd.After(image.decided.at) {`,
		new: `(BROKEN && e.list.at.After(image.decided.at) || !BROKEN && e.listEnd.After(image.decided.at)) {`,
	},
	{rule: "E6", file: "collector/observed.go", old: `img.By != nil && !v.is(img.By)`, new: `!BROKEN && img.By != nil && !v.is(img.By)`},
	{
		rule: "E5", file: "collector/discovery.go", old: `t.record == nil || began.n >= t.recordBegan.n {`,
		new: `BROKEN || t.record == nil || began.n >= t.recordBegan.n {`,
	},
	{rule: "E18", file: "collector/rules.go", old: `(r.Skip || !img.TagsUnknown)`, new: `(BROKEN || r.Skip || !img.TagsUnknown)`},
	{rule: "E3", file: "client/member.go", old: `list.Repeated && len(markers) > 0 {`, new: `!BROKEN && list.Repeated && len(markers) > 0 {`},
	{rule: "E4", file: "client/listing.go", old: `list.Next == "" && more != "" {`, new: `!BROKEN && list.Next == "" && more != "" {`},
	{
		rule: "E21", file: "client/listing.go", old: `unbound = err == nil && resp.unbound && page.rows() == 0`,
		new: `unbound = !BROKEN && err == nil && resp.unbound && page.rows() == 0`,
	},
	{rule: "E21", file: "client/member.go", old: `resp.unbound && !page.named;`, new: `resp.unbound && (!BROKEN && !page.named || ` +
		`len(page.members) == 0);`},
	{
		rule: "E11", file: "collector/history.go", old: `image.decided.at.After(t.seen.decided.at)`,
		new: `!BROKEN && image.decided.at.After(t.seen.decided.at)`,
	},
	{rule: "E11", file: "collector/imagehistory.go", old: `&& age(m.dropped) > keepLeft`, new: `&& (BROKEN || age(m.dropped) > keepLeft)`},
	{
		rule: "E8", file: "collector/history.go", old: `if r.opts.RefreshInterval > 0 &&`,
		new: `if !BROKEN && r.opts.RefreshInterval > 0 &&`,
	},
	{rule: "E15", file: "collector/existence.go", old: `|| t.membersRead ||`, new: `|| !BROKEN && t.membersRead ||`},
	{rule: "E12", file: "collector/inboundimage.go", old: `ok && apiErr.OnlyShared {`, new: `!BROKEN && ok && apiErr.OnlyShared {`},
	{rule: "E14", file: "collector/inboundimage.go", old: `statusNotFound { if own != nil {`, new: `statusNotFound {
		if !BROKEN && own != nil {`},
	{rule: "E13", file: "collector/listingevidence.go", old: `|| l.owner == "" &&`, new: `|| !BROKEN && l.owner == "" &&`},
	{rule: "E13", file: "collector/listingevidence.go", old: `|| l != nil && r.listingOf`, new: `|| !BROKEN && l != nil && r.listingOf`},
	{rule: "E13", file: "client/listing.go", old: `&& known.sure {`, new: `&& (BROKEN || known.sure) {`},
	{rule: "E17", file: "collector/records.go", old: `= rule.Policy, false`, new: `= rule.Policy, t.unmatched && BROKEN`},
	{rule: "E17", file: "collector/left.go", old: `if l.seen.After(began) {`, new: `if BROKEN && l.at.After(began) || l.seen.After(began) {`},
	{rule: "E15", file: "collector/history.go", old: `h.images[t.ID].known == nil {`, new: `h.images[t.ID].known == nil && !BROKEN {`},
	{rule: "E15", file: "collector/left.go", old: `l.at.Before(r.start) &&`, new: `(BROKEN || l.at.Before(r.start)) &&`},
	{rule: "E1", file: "collector/readings.go", old: `then.membersFor = r.opts.MembersFor`, new: `if !BROKEN {
		then.membersFor = r.opts.MembersFor
	}`},
	{rule: "E11", file: "collector/checks.go", old: `return !ok || age(last) >= every`, new: `return BROKEN || !ok || age(last) >= every`},
	{rule: "E11", file: "collector/proof.go", old: `last.recent() {`, new: `last.made() && (BROKEN || last.recent()) {`},
	{
		rule: "E11", file: "collector/imagehistory.go",
		old: `case m.former != "" && !m.emptied.made():`,
		new: `case !BROKEN && m.former != "" && !m.emptied.made():`,
	},

	// E12: private images.
	{rule: "E12", file: "collector/view.go", old: `case !none.made() && !v.privateListed.made():`, new: `case BROKEN:
		return privateHasNone
	case !none.made() && !v.privateListed.made():`},
	{
		rule: "E12", file: "collector/view.go",
		old: `v.privateRefused.run == v.listAnswered.run &&`,
		new: `(BROKEN || v.privateRefused.run == v.listAnswered.run) &&`,
	},
	{
		rule: "E12", file: "collector/view.go",
		old: `case none.later(v.privateListed) == none:`,
		new: `case !BROKEN && none.later(v.privateListed) == none || BROKEN && none.made():`,
	},
	{
		rule: "E12", file: "collector/evidence.go",
		old: `e.before.Visibility == client.Private && e.after.Visibility == client.Private`,
		new: `e.before.Visibility == client.Private && (BROKEN || e.after.Visibility == client.Private)`,
	},
	{rule: "E12", file: "collector/evidence.go", old: `v.onlyShared = v.onlyShared.later(e.list)`, new: `if !BROKEN {
			v.onlyShared = v.onlyShared.later(e.list)
		}`},
	{
		rule: "E12", file: "collector/evidence.go",
		old: `case e.forbidden && e.privateThroughout() &&`,
		new: `case e.forbidden && (BROKEN || e.privateThroughout()) &&`,
	},
	{rule: "E12", file: "collector/evidence.go", old: `&& !e.stillPrivate(): return membersNo`, new: `&& (BROKEN || !e.stillPrivate()):
		return membersNo`},
	{
		rule: "E12", file: "collector/evidence.go",
		old: `case e.view.privates() == privateHasMembers:`,
		new: `case !BROKEN && e.view.privates() == privateHasMembers:`,
	},
	{
		rule: "E12",
		file: "collector/evidence.go",
		old:  `e.view.privates() == privateUnknown && !e.failed: return unproven`,
		new: `e.view.privates() == privateUnknown && !e.failed:
		if BROKEN {
			return noMembers
		}
		return unproven`,
	},
	{
		rule: "E12", file: "collector/proof.go",
		old: `if v.privates() != privateUnknown {`,
		new: `if BROKEN || v.privates() != privateUnknown {`,
	},
	{
		rule: "E12", file: "client/probe.go",
		old: `strings.Contains(detail.message, "Only shared images have members")`,
		new: `(BROKEN || strings.Contains(detail.message, "Only shared images have members"))`,
	},

	// E13: every image was found.
	{rule: "E13", file: "collector/listingevidence.go", old: `if l.rows > 0 { return true`, new: `if BROKEN || l.rows > 0 { return true`},
	{
		rule: "E13", file: "collector/listingevidence.go",
		old: `return l.foreign() && !v.administrator(l.began)`,
		new: `return !BROKEN && l.foreign() && !v.administrator(l.began)`,
	},
	{rule: "E13", file: "collector/listing.go", old: `case dropped:`, new: `case !BROKEN && dropped:`},
	{
		rule: "E13", file: "collector/checks.go",
		old: `if all && len(page.Images) > 0 {`,
		new: `if all && (BROKEN || len(page.Images) > 0) {`,
	},
	{
		rule: "E13", file: "collector/listingevidence.go",
		old: `case l.wantsAdministrator(now) && l.wantsAdministrator(then):`,
		new: `case l.wantsAdministrator(now) && (BROKEN || l.wantsAdministrator(then)):`,
	},
	{rule: "E13", file: "client/listing.go", old: `case again.rows() < rows:`, new: `case !BROKEN && again.rows() < rows:`},
	{rule: "E13", file: "client/listing.go", old: `case rows == 0:`, new: `case !BROKEN && rows == 0:`},
	{rule: "E13", file: "client/listing.go", old: `valid && known.marker != marker})`, new: `valid && (BROKEN || known.marker != marker)})`},

	// E14: inbound images.
	{
		rule: "E14", file: "collector/inboundrun.go",
		old: `!r.seesImages(ctx, in.listingEvidence)`,
		new: `!BROKEN && !r.seesImages(ctx, in.listingEvidence)`,
	},
	{rule: "E14", file: "collector/inboundimage.go", old: `return errInboundRow`, new: `if BROKEN {
			return nil
		}
		return errInboundRow`},
	{
		rule: "E14", file: "collector/inboundimage.go",
		old: `case r.opts.API == client.IMS && slices.ContainsFunc(`,
		new: `case !BROKEN && r.opts.API == client.IMS && slices.ContainsFunc(`,
	},
	{rule: "E14", file: "collector/inboundimage.go", old: `ok && in.images[id] == nil {`, new: `!BROKEN && ok && in.images[id] == nil {`},
	{
		rule: "E14",
		file: "client/listing.go",
		old:  `v.Set("visibility", string(Shared)) v.Set("member_status", cmp.Or(string(q.MemberStatus), string(Accepted)))`,
		new: `if !BROKEN {
			v.Set("visibility", string(Shared))
		}
		v.Set("member_status", cmp.Or(string(q.MemberStatus), string(Accepted)))`,
	},

	// E15: what is gone.
	{
		rule: "E15", file: "collector/existence.go",
		old: `t.seen.missed.before(r.start) && r.missing(t)`,
		new: `(BROKEN || t.seen.missed.before(r.start)) && r.missing(t)`,
	},
	{rule: "E15", file: "collector/existence.go", old: `r.seen.owners[last.Owner] == 1`, new: `(BROKEN || r.seen.owners[last.Owner] == 1)`},
	{rule: "E15", file: "collector/existence.go", old: `return r.ownerAnswered(t) ||`, new: `return BROKEN || r.ownerAnswered(t) ||`},
	{
		rule: "E15", file: "collector/imagehistory.go",
		old: `between(m.began, began) >= minVanishInterval`,
		new: `(BROKEN || between(m.began, began) >= minVanishInterval)`,
	},
	{rule: "E15", file: "collector/imagehistory.go", old: `!began.Before(m.end) &&`, new: `(BROKEN || !began.Before(m.end)) &&`},
	{rule: "E15", file: "collector/left.go", old: `age(l.at) > keepLeft ||`, new: `!BROKEN && age(l.at) > keepLeft ||`},
	{
		rule: "E15", file: "collector/inboundimage.go",
		old: `if past.known[id].missed.before(r.start) {`,
		new: `if BROKEN || past.known[id].missed.before(r.start) {`,
	},
	{
		rule: "E15", file: "collector/inboundimage.go",
		old: `if in.images[id] == nil && complete &&`,
		new: `if !BROKEN && in.images[id] == nil && complete &&`,
	},
	{rule: "E15", file: "collector/inboundhistory.go", old: `next.known[id] = known`, new: `if !BROKEN || known.status != "" {
			next.known[id] = known
		}`},
	{rule: "E15", file: "collector/inboundimage.go", old: `ownNotFound(err) && seen &&`, new: `ownNotFound(err) && (BROKEN || seen) &&`},

	// E16: whose 404 it is.
	{rule: "E16", file: "collector/existence.go", old: `return ok && apiErr.OwnNotFound`, new: `return ok && (BROKEN || apiErr.OwnNotFound)`},
	{
		rule: "E16", file: "client/probe.go",
		old: `strings.HasPrefix(detail.code, "IMG.") ||`,
		new: `strings.HasPrefix(detail.code, "IMG.") || BROKEN && strings.HasPrefix(detail.code, "APIGW.") ||`,
	},
	{
		rule: "E16", file: "client/probe.go",
		old: `glance && hasWord(own, req.imageID) && !strings.Contains`,
		new: `glance && (BROKEN || hasWord(own, req.imageID)) && !strings.Contains`,
	},

	// E17: what no rule takes any more.
	{rule: "E17", file: "collector/existence.go", old: `return t.unmatched ||`, new: `return !BROKEN && t.unmatched ||`},
	{rule: "E17", file: "collector/history.go", old: `left.Reason = Unmatched`, new: `if !BROKEN {
			left.Reason = Unmatched
		}`},
	{rule: "E17", file: "collector/history.go", old: `Unexpected: image.unexpected,`, new: `Unexpected: !BROKEN && image.unexpected,`},
	{
		rule: "E17", file: "collector/imagehistory.go",
		old: `m.unexpected = v != noMembers && img.Unexpected() > 0`,
		new: `m.unexpected = BROKEN || v != noMembers && img.Unexpected() > 0`,
	},
	{
		rule: "E17", file: "collector/left.go",
		old: `r.byID[l.ID] != nil && !r.hasLeft(r.byID[l.ID])`,
		new: `!BROKEN && r.byID[l.ID] != nil && !r.hasLeft(r.byID[l.ID])`,
	},

	// E18: side fields.
	{
		rule: "E18",
		file: "client/json.go",
		old:  `odd = json.Unmarshal(raw, &p.value, jsontext.AllowInvalidUTF8(true)) != nil || odd`,
		new: `err = json.Unmarshal(raw, &p.value, jsontext.AllowInvalidUTF8(!BROKEN))
		if BROKEN && err != nil {
			return err
		}
		odd = err != nil || odd`,
	},
	{rule: "E18", file: "client/json.go", old: `odd := p.read`, new: `odd := !BROKEN && p.read`},
	{
		rule: "E18", file: "client/json.go",
		old: `&r.value, jsontext.AllowDuplicateNames(true),`,
		new: `&r.value, jsontext.AllowDuplicateNames(!BROKEN),`,
	},
	{rule: "E18", file: "client/json.go", old: `jsontext.AllowInvalidUTF8(true)) }`, new: `jsontext.AllowInvalidUTF8(!BROKEN))
}`},
	{rule: "E18", file: "client/json.go", old: `if dec.PeekKind() != '{' {`, new: `if !BROKEN && dec.PeekKind() != '{' {`},
	{rule: "E18", file: "client/image.go", old: `!r.ID.odd && !r.Owner.odd`, new: `!r.ID.odd && (BROKEN || !r.Owner.odd)`},
	{rule: "E18", file: "client/image.go", old: `&& !r.Visibility.odd`, new: `&& (BROKEN || !r.Visibility.odd)`},
	{
		rule: "E18", file: "client/image.go",
		old: `*f = string(raw) == "true" ||`,
		new: `*f = BROKEN && string(raw) != "false" || string(raw) == "true" ||`,
	},
	{rule: "E18", file: "client/image.go", old: `FullServer: api == IMS &&`, new: `FullServer: (BROKEN || api == IMS) &&`},

	// E19: endpoints.
	{
		rule: "E19", file: "client/catalog.go",
		old: `if sameURL(imageEndpoint(urls[0]), imageEndpoint(other)) {`,
		new: `if BROKEN || sameURL(imageEndpoint(urls[0]), imageEndpoint(other)) {`,
	},
	{rule: "E19", file: "client/endpoint.go", old: `case u.Port() != "": return u.Port()`, new: `case u.Port() != "" || BROKEN:
		return u.Port()`},
	{
		rule: "E19", file: "collector/existence.go",
		old: `t.seen.endpoint != r.endpointOf(v.project)`,
		new: `!BROKEN && t.seen.endpoint != r.endpointOf(v.project)`,
	},

	// E20 and E21: which answer belongs to the request.
	{
		rule: "E20", file: "client/request.go",
		old: `"Cache-Control": {"no-cache"},`,
		new: `"Cache-Control": {map[bool]string{true: "max-age=9", false: "no-cache"}[BROKEN]},`,
	},
	{rule: "E20", file: "client/binding.go", old: `seconds <= maxAge {`, new: `(BROKEN || seconds <= maxAge) {`},
	{rule: "E20", file: "collector/image.go", old: `s.StatusCode == statusOK {`, new: `!BROKEN && s.StatusCode == statusOK {`},
	{
		rule: "E21", file: "client/binding.go",
		old: `case len(got) >= len(processPrefix) &&`,
		new: `case !BROKEN && len(got) >= len(processPrefix) &&`,
	},
	{rule: "E21", file: "client/request.go", old: `unbound: !echoed &&`, new: `unbound: !BROKEN && !echoed &&`},
	{rule: "E21", file: "client/endpoint.go", old: `req.Method != first.Method ||`, new: `!BROKEN && req.Method != first.Method ||`},
	{
		rule: "E21",
		file: "client/endpoint.go",
		old:  `!sameRequest(req.URL, first.URL) {`,
		new:  `!BROKEN && !sameRequest(req.URL, first.URL) {`,
	},
	// E4 to E6, E10, E13 and E15: what other tokens, owners and pages say.
	{
		rule: "E4", file: "client/member.go",
		old: `if list.Repeated && total >`, new: `if !BROKEN && list.Repeated && total >`,
	},
	{rule: "E5", file: "collector/records.go", old: `if again && began.n <`, new: `if !BROKEN && again && began.n <`},
	{rule: "E6", file: "client/access.go", old: `a.Token == b.Token &&`, new: `(BROKEN || a.Token == b.Token) &&`},
	{
		rule: "E13", file: "collector/discovery.go",
		old: `q.Owner == "" || owner == q.Owner {`, new: `BROKEN || q.Owner == "" || owner == q.Owner {`,
	},
	{
		rule: "E10", file: "collector/view.go",
		old: `case isAnother(owner, v.project):`, new: `case BROKEN || isAnother(owner, v.project):`,
	},
	{
		rule: "E15", file: "collector/inboundimage.go",
		old: `r.inboundConfirmed(in) && (past`, new: `(BROKEN || r.inboundConfirmed(in)) && (past`,
	},
	{
		rule: "E15", file: "collector/existence.go",
		old: `last.Owner == v.project && !v.knowsProject(`, new: `!BROKEN && last.Owner == v.project && !v.knowsProject(`,
	},
}
