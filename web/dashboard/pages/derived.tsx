// What another policy would have done: one decision, derived again on what it rested on.
import { useState } from 'preact/hooks'
import { fetched, Problem } from '../api.ts'
import type { Decision, Derived, Policies } from '../answers.ts'
import { Answer, useAnswer } from '../asking.tsx'
import { Candidates } from '../parts.tsx'
import { named, time } from '../words.ts'

export function Another({ decision }: { decision: Decision }) {
  const [isOpen, setOpen] = useState(false)
  return (
    <details onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>What would another policy have done?</summary>
      {isOpen && <Trying decision={decision} />}
    </details>
  )
}

function Trying({ decision }: { decision: Decision }) {
  const policies = useAnswer<Policies>('/api/policies')
  return <Answer of={policies}>{({ policies: known }) => <Form decision={decision} known={known.filter(({ document }) => document)} />}</Answer>
}

function Form({ decision, known }: { decision: Decision; known: Policies['policies'] }) {
  const [policy, setPolicy] = useState(known[0]?.document ?? '')
  const [derived, setDerived] = useState<Derived>()
  const [problem, setProblem] = useState('')
  const derive = async (event: Event): Promise<void> => {
    event.preventDefault()
    setProblem('')
    try {
      setDerived(await fetched<Derived>(`/api/decisions/${encodeURIComponent(decision.decisionId)}:derive`, { policy }))
    } catch (error) {
      setDerived(undefined)
      setProblem(error instanceof Problem && error.reason === 'DECISION_NOT_FOUND' ? 'The decision is too old: only the archive has what it rests on. Use journeymesh replay.' : String((error as Error).message))
    }
  }
  return (
    <form onSubmit={derive}>
      <p>
        <label class="choice">
          Begin with{' '}
          <select onChange={(event) => setPolicy(known[event.currentTarget.selectedIndex]?.document ?? '')}>
            {known.map(({ version, startTime }) => <option>{version}{Date.parse(startTime) > Date.now() ? ', to come' : Date.parse(startTime) > 0 ? `, from ${time(startTime)}` : ''}</option>)}
          </select>
        </label>
      </p>
      <label>
        <span class="small">The policy, to be changed as you like</span>
        <textarea rows={12} spellcheck={false} value={policy} onInput={(event) => setPolicy(event.currentTarget.value)} />
      </label>
      <p><button class="main">Decide again</button></p>
      <div role="status">
        {problem && <p>{problem}</p>}
        {derived && <Result of={derived} before={decision} />}
      </div>
    </form>
  )
}

function Result({ of: { decision, hasPast }, before }: { of: Derived; before: Decision }) {
  const help = decision.intervention
  const isSame = !!help === !!before.interventionId && decision.reasons.join() === before.reasons.join()
  return (
    <>
      <p><b>{help ? `It would have offered help: ${named(help.action)} by ${named(help.channel).toLowerCase()}` : 'It would not have helped'}</b>{isSame && ', for the same reasons'}. {decision.explanation}</p>
      {!hasPast && <p class="small">Nothing that is remembered of the user came with this decision: there was nothing yet, or it was not needed. So no cooldown and no cap holds help back.</p>}
      {decision.candidates.length > 0 && <Candidates caption={`What ${decision.policyVersion} considered`} of={decision.candidates} />}
      <p class="small">By policy <code>{decision.policyVersion}</code>, on the same event, assessment and past. Nothing was changed.</p>
    </>
  )
}
