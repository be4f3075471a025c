import { useState } from "react";
import { ticket_from } from "incoming-uploads/queue";
import { useQueue } from "incoming-uploads/react";

const get_ticket = ticket_from("/api/frontend/request_upload");

export default function App() {
  const [is_shown, set_shown] = useState(true);
  return (
    <main>
      <h1>Uploads in React</h1>
      <button id="toggle" onClick={() => set_shown(!is_shown)}>{is_shown ? "Leave" : "Come back"}</button>
      {is_shown && <Uploads />}
    </main>
  );
}

function Uploads() {
  const { queue, items, totals } = useQueue({ get_ticket, resume_unfinished: true });

  function choose({ target }) {
    queue.add_all(target.files);
    target.value = ""; // so that the same file can be chosen again
  }

  return (
    <>
      <label className="choose">Choose files <input type="file" multiple onChange={choose} /></label>
      <ul>{items.map((row) => <Row key={row.id} row={row} />)}</ul>
      <p role="status">{totals.files > 0 && `${totals.finished} of ${totals.files} finished`}</p>
    </>
  );
}

function Row({ row: { item, path, frac_complete, message, upload, ...can } }) {
  return (
    <li>
      <bdi className="name">{path}</bdi>
      <progress value={frac_complete} aria-label={`Uploaded of ${path}`} />
      <p className="facts">{Math.floor(100 * frac_complete)} % · {message || upload?.state_msg || "Waiting."}</p>
      {can.can_pause && <button onClick={() => item.pause()}>Pause</button>}
      {can.can_resume && <button onClick={() => item.resume()}>Resume</button>}
      {can.can_retry && <button onClick={() => item.retry()}>Try now</button>}
      {can.can_cancel && <button onClick={() => item.cancel()}>Cancel</button>}
    </li>
  );
}
