// What the exit risk rests on.
import type { Features, List, Risk } from '../answers.ts'
import { Answer, Empty, useAnswer } from '../asking.tsx'
import { Card, Table } from '../parts.tsx'
import { since } from '../route.ts'

export function Model() {
  const features = useAnswer<Features>('/api/features')
  const users = useAnswer<List>('/api/analytics/lists', { kind: 'users', limit: 1, window: since(28) })
  return (
    <div class="grid">
      <Card title="In force" isWide>
        <Answer of={users}>{({ rows }) => (rows[0] ? <InForce user={rows[0].userId} /> : <Empty>No user has been scored yet.</Empty>)}</Answer>
      </Card>
      <Card title="What it looks at" isWide>
        <Answer of={features}>
          {({ definitions }) => (
            <Table
              caption="Features"
              rows={definitions}
              columns={[
                { name: 'Feature', of: ({ name }) => <code>{name}</code> },
                { name: 'Meaning', of: ({ meaning }) => meaning },
                { name: 'Unit', of: ({ unit }) => unit },
                { name: 'Window', of: ({ window }) => window },
              ]}
            />
          )}
        </Answer>
      </Card>
    </div>
  )
}

/** The versions by which a user was scored last: every answer names them. */
function InForce({ user }: { user: string }) {
  const risk = useAnswer<Risk>(`/api/users/${encodeURIComponent(user)}/risk`)
  return (
    <Answer of={risk}>
      {({ modelVersion, rulesVersion }) => (
        <p>
          The latest user was scored by model <code>{modelVersion}</code> and rules <code>{rulesVersion}</code>. The model's card, with what it was trained on and how
          well it does, is <code>models/exit-risk/{modelVersion}/</code> in the repository.
        </p>
      )}
    </Answer>
  )
}
