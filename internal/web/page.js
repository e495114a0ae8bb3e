'use strict';
// The page works without this script. It adds a refresh that keeps the scroll position, and a filter that applies while typing.
(() => {
  const pause = 15000;
  const $ = (id) => document.getElementById(id);
  const form = $('filter'), box = $('refresh'), lost = $('lost');
  const regions = ['top', 'list'];
  let shown = Date.now(); // when the page was made that is shown
  let tried = shown, timer, running, title = document.title;

  const focusable = 'a[href],summary,input,select,button,[tabindex]';

  // What has the focus, so that its like can be found in a new page.
  function focused() {
    const a = document.activeElement, home = a && a !== document.body && regions.some((r) => $(r).contains(a)) && a.closest('[id]');
    return home ? { id: home.id, n: home === a ? -1 : [...home.querySelectorAll(focusable)].indexOf(a) } : null;
  }
  function refocus(f) {
    const home = f && $(f.id), a = home && (f.n < 0 ? home : home.querySelectorAll(focusable)[f.n]);
    if (a) a.focus({ preventScroll: true });
  }

  // Where things stand in the window, so that one of them can be put there again: what has the focus, else the first that has not moved to
  // another group. At the top of the page news may push the rest down.
  function places() {
    if (window.scrollY <= 0) return [];
    const list = [];
    const add = (e) => {
      const r = e.getBoundingClientRect();
      if (r.height > 0 && r.bottom > 0 && r.top < window.innerHeight) list.push({ id: e.id, top: r.top, group: group(e) });
    };
    const f = document.activeElement.closest('#top details[id],#list details[id]');
    if (f) add(f);
    document.querySelectorAll('#top details[id],#list details[id]').forEach(add);
    return list;
  }
  function putBack(list) {
    for (const p of list) {
      const e = $(p.id);
      if (e && group(e) === p.group) {
        window.scrollBy(0, e.getBoundingClientRect().top - p.top);
        return;
      }
    }
  }

  function busySelecting() {
    const s = window.getSelection();
    return s && !s.isCollapsed && regions.some((r) => $(r).contains(s.anchorNode));
  }

  // A block that somebody opened or closed stays so, as long as its image is in the same group.
  const group = (d) => d.parentElement.closest('[class]')?.className || '';
  function keepOpen(doc) {
    for (const r of regions) {
      for (const d of doc.getElementById(r).querySelectorAll('details[id]')) {
        const old = $(d.id);
        if (old && group(old) === group(d)) d.open = old.open;
      }
    }
  }

  function swap(doc) {
    const f = focused(), stood = places(), before = $('title').textContent;
    keepOpen(doc);
    for (const id of regions) $(id).replaceChildren(...document.adoptNode(doc.getElementById(id)).childNodes);
    $('asof').replaceChildren(...doc.getElementById('asof').childNodes);
    document.querySelector('link[rel=icon]').href = doc.querySelector('link[rel=icon]').href;
    title = document.title = doc.title;
    addAll();
    putBack(stood);
    refocus(f);
    return before === $('title').textContent ? '' : $('title').textContent.trim();
  }

  function trouble(why) {
    if (lost.hidden) {
      lost.textContent = '✖ This page is out of date: ' + why + '. It shows the state at ' + $('asof').querySelector('time').textContent + '.';
      lost.hidden = false;
      document.body.dataset.stale = 'true';
      $('title').prepend('Out of date: '); // a swap takes it away
      document.title = '✖ out of date · ' + title;
    }
  }

  async function load(asked) {
    if (running) running.abort();
    const mine = running = new AbortController();
    const limit = setTimeout(() => mine.abort(), 30000);
    tried = Date.now();
    try {
      const r = await fetch(location.href, { cache: 'no-store', signal: mine.signal, headers: { Accept: 'text/html' } });
      if (!r.ok) throw new Error('the exporter responded with ' + r.status);
      const doc = new DOMParser().parseFromString(await r.text(), 'text/html');
      if (mine !== running) return;
      const build = doc.documentElement.dataset.build;
      if (!build || !doc.getElementById('list')) throw new Error('the response is not this page');
      if (build !== document.documentElement.dataset.build) {
        location.reload();
        return;
      }
      if (!asked && busySelecting()) return;
      const news = swap(doc);
      shown = Date.now();
      lost.hidden = true;
      delete document.body.dataset.stale;
      const said = news || (asked ? $('shows').textContent.trim() : '');
      if (said) $('announce').textContent = said;
    } catch (e) {
      if (mine === running) trouble(e.name === 'Error' ? e.message : 'the exporter did not respond');
    } finally {
      clearTimeout(limit);
      if (mine === running) {
        running = null;
        next();
      }
    }
  }

  // IDs and commands in an open block have a button that copies them. The clipboard needs https or localhost; the other way works
  // everywhere.
  async function copy(text) {
    try {
      return await navigator.clipboard.writeText(text);
    } catch { /* not here */ }
    const area = document.body.appendChild(document.createElement('textarea'));
    area.value = text;
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    if (!done) throw new Error('not copied');
  }
  function addButtons(details) {
    if (!details.open) return;
    for (const code of details.querySelectorAll('code')) {
      const home = code.closest('a,pre') || code;
      if (code.closest('details') !== details || code.closest('summary') || home.nextElementSibling?.classList.contains('copy')) continue;
      const button = document.createElement('button');
      button.type = 'button';
      button.className = 'copy';
      button.textContent = 'copy';
      button.setAttribute('aria-label', 'Copy ' + (code.closest('pre') ? 'this' : code.textContent));
      home.after(button);
    }
  }
  const addAll = () => document.querySelectorAll('#list details[open]').forEach(addButtons);
  document.addEventListener('toggle', (e) => {
    if ($('list').contains(e.target)) addButtons(e.target);
  }, true);
  document.addEventListener('click', (e) => {
    const button = e.target.closest('.copy');
    if (!button) return;
    e.preventDefault();
    const home = button.previousElementSibling;
    copy((home.querySelector('code') || home).textContent)
      .then(() => { $('announce').textContent = button.textContent = 'copied'; }, () => { button.textContent = 'not copied'; });
  });

  function next() {
    clearTimeout(timer);
    if (!document.hidden && box.checked) timer = setTimeout(load, Math.max(pause - (Date.now() - tried), 0), false);
  }

  // The address says what is shown, so that it can be sent to somebody. The way back leads to what was shown before the filter was touched.
  let typing, asked = location.search, touched = false;
  function filter() {
    const query = new URLSearchParams([...new FormData(form)].filter(([, v]) => v !== ''));
    history[touched ? 'replaceState' : 'pushState'](null, '', location.pathname + (query.size ? '?' + query : ''));
    asked = location.search;
    touched = true;
    load(true);
  }
  form.addEventListener('input', (e) => {
    clearTimeout(typing);
    typing = setTimeout(filter, e.target.id === 'q' ? 250 : 0);
  });
  form.addEventListener('focusout', (e) => {
    if (!form.contains(e.relatedTarget)) touched = false;
  });
  form.addEventListener('submit', (e) => {
    e.preventDefault();
    clearTimeout(typing);
    filter();
  });
  window.addEventListener('popstate', () => {
    if (location.search !== asked) location.reload(); // else it is the way to the images
  });

  box.addEventListener('change', () => {
    if (box.checked) load(true);
    else clearTimeout(timer);
  });
  document.addEventListener('visibilitychange', next);
  // A page without refresh says how old it is.
  setInterval(() => {
    const old = Math.floor((Date.now() - shown) / 60000);
    if (old >= 2) trouble('it is ' + old + ' minutes old');
  }, 10000);
  addAll();
  $('auto').hidden = false;
  next();
})();
