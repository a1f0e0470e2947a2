// What the dashboard works out by itself, from its sources.
import assert from 'node:assert/strict'
import test from 'node:test'

const { stability } = await import('../../web/dashboard/drift.ts')
const { merged, news, risks, updated } = await import('../../web/dashboard/live.ts')
const { standing } = await import('../../web/dashboard/words.ts')

const happening = (members) => ({ kind: 'decision', time: '2026-01-02T10:00:00Z', userId: 'ada', decisionId: 'd-1', page: '', score: 50, level: 'medium', why: '', signal: null, target: '', reason: null, interventionId: '', action: '', channel: '', outcome: null, ...members })

test('the stability index is 0 for equal shares, and as its definition says for others', () => {
  assert.equal(stability([10, 20, 30, 40], [10, 20, 30, 40]), 0)
  const p = [30.5, 70.5].map((count) => count / 101)
  const q = [60.5, 40.5].map((count) => count / 101)
  const expected = (p[0] - q[0]) * Math.log(p[0] / q[0]) + (p[1] - q[1]) * Math.log(p[1] / q[1])
  assert.ok(Math.abs(stability([60, 40], [30, 70]) - expected) < 1e-12)
  assert.ok(stability([100, 0], [0, 100]) > 1)
  assert.ok(Number.isFinite(stability([0, 0], [5, 0])))
})

test('an incident that changed replaces the one that is known, and a snapshot replaces all', () => {
  const [one, two, three] = ['09', '11', '10'].map((hour) => ({ insightId: hour, opened: `2026-01-02T${hour}:00:00Z`, closed: null }))
  const known = updated([], { isSnapshot: true, incidents: [one, two], budgetAlarms: [] })
  assert.deepEqual(known, [two, one])
  const closed = { ...one, closed: two.opened }
  assert.deepEqual(updated(known, { isSnapshot: false, incidents: [closed, three], budgetAlarms: [] }), [two, three, closed])
  assert.deepEqual(updated(known, { isSnapshot: true, incidents: [three], budgetAlarms: [] }), [three])
})

test('what is told again counts once, and the newest is first', () => {
  const first = happening({ kind: 'struggle', signal: 'rage_clicks', target: 'Pay' })
  const second = happening({ interventionId: 'i-1' })
  const known = merged([], [first, second])
  assert.deepEqual(known, [second, first])
  assert.deepEqual(merged(known, [first, second]), known)
  assert.deepEqual(merged(known, [happening({ kind: 'outcome', outcome: 'shown' }), happening({ kind: 'outcome', outcome: 'accepted' })]).map(({ outcome }) => outcome), ['accepted', 'shown', null, null])
  assert.equal(merged([], Array.from({ length: 500 }, (_, index) => happening({ decisionId: `d-${index}` }))).length, 200)
})

test('a decision is news if it is for help or changes the level', () => {
  const all = merged([], [
    happening({ decisionId: 'd-1' }),
    happening({ decisionId: 'd-2' }),
    happening({ decisionId: 'd-3', level: 'high' }),
    happening({ decisionId: 'd-4', level: 'high', interventionId: 'i-4' }),
    happening({ decisionId: 'd-5', userId: 'bob' }),
  ])
  assert.deepEqual(news(all).map(({ decisionId, before }) => [decisionId, before]), [['d-5', undefined], ['d-4', undefined], ['d-3', 'medium'], ['d-1', undefined]])
})

test('the risk of a user is that of the latest happening', () => {
  const all = merged([], [happening({ decisionId: 'd-1', level: 'critical' }), happening({ decisionId: 'd-2', userId: 'bob' }), happening({ decisionId: 'd-3', level: 'low' })])
  assert.deepEqual(risks(all).map(({ userId, level }) => [userId, level]), [['ada', 'low'], ['bob', 'medium']])
})

test('a decision tells the segment, group and arm that it knew, and nothing where it knew none', () => {
  assert.equal(standing({ segment: 'At Risk', group: 'g_2', arm: 'eager' }), 'Segment: At Risk · Group: g_2 · Arm: eager')
  assert.equal(standing({ segment: '', group: '', arm: 'control' }), 'Arm: control')
  assert.equal(standing({ segment: '', group: '' }), '')
})
