"""<incoming-upload> with the server and an app: what a person does with it, and what a form gets."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.keys import Keys

from tests.e2e.element_page import ElementPage
from tests.e2e.stage import CRAWL_BYTES_PER_S, Stage
from tests.support.browser import TURNING_NAME, press
from tests.support.data import MIB
from tests.support.engines import Browser, in_make_engines
from tests.support.waiting import wait_until


def test_a_plain_form_gets_the_tickets_of_what_was_uploaded_and_waits_for_them(
    clean_driver: Browser, dropzone: Stage
) -> None:
    first, first_sha = dropzone.file("first.bin", 2 * MIB, 1)
    second, second_sha = dropzone.file("<img src=x onerror=hacked=1>.txt", 3 * MIB, 2)
    page = ElementPage(clean_driver, dropzone, "multiple required")
    assert page.text("title") in ("Drop files here", "Add files")
    assert page.js("return [host.checkValidity(), host.validationMessage]") == [
        False,
        "Please upload a file.",
    ]

    dropzone.network.bytes_per_s = CRAWL_BYTES_PER_S
    page.choose(first, second)
    page.wait_for_bytes("first.bin")
    facts = page.row("first.bin")
    assert "%" in facts and facts.endswith("[Pause] [Cancel]")
    assert "0 of 2 files uploaded" in page.text("total")
    clean_driver.find_element("id", "send").click()
    assert page.js("return [location.search, host.validationMessage]") == [
        "", "Please wait until the uploads have finished.",
    ]  # fmt: skip

    dropzone.let_go()
    page.wait_until(lambda: "2 of 2 files uploaded" in page.text("total"), "both are uploaded")
    assert page.shown() == [
        "first.bin Uploaded · 2.1 MB [Remove from the list]",
        "<img src=x onerror=hacked=1>.txt Uploaded · 3.1 MB [Remove from the list]",
    ]
    stored = dropzone.app.uploaded()
    assert sorted(stored.values()) == sorted([first_sha, second_sha])
    heard = page.heard()
    assert heard.count("upload-finished") == 2
    assert heard.count("all-finished") == 1
    assert 1 <= heard.count("change") <= 2
    tickets = page.value()
    assert len(set(tickets)) == 2

    clean_driver.find_element("id", "send").click()
    wait_until(lambda: page.js("return location.search"), "the form is submitted")
    assert page.js("return new URLSearchParams(location.search).getAll('files')") == tickets


def test_a_person_at_the_keyboard_pauses_resumes_cancels_and_removes(
    clean_driver: Browser, dropzone: Stage
) -> None:
    long, _ = dropzone.file("long.bin", 8 * MIB, 1)
    page = ElementPage(clean_driver, dropzone, "")
    dropzone.network.bytes_per_s = CRAWL_BYTES_PER_S
    press(clean_driver, Keys.TAB)
    assert page.focused() == "Choose a file"
    page.choose(long)
    page.wait_for_bytes("long.bin")
    assert not page.text("title"), "a single file has the place of the invitation"
    assert not page.text("total"), "one file needs no sum"
    page.wait_until(lambda: page.focused() == "Pause: long.bin", "the focus went with it")
    press(clean_driver, Keys.ENTER)
    assert "Paused ·" in page.wait_for("long.bin", "[Resume]")
    assert page.focused() == "Resume: long.bin"
    press(clean_driver, Keys.ENTER)
    page.wait_for("long.bin", "[Pause]")
    press(clean_driver, Keys.TAB, Keys.ENTER)
    page.wait_for("long.bin", "Cancelled")
    page.wait_until(
        lambda: page.focused() == "Remove from the list: long.bin", "the same button has the focus"
    )
    press(clean_driver, Keys.ENTER)
    assert page.shown() == []
    assert page.focused() == "Choose a file"
    assert page.value() == []


def test_a_lost_connection_counts_down_and_try_now_tries_at_once(
    clean_driver: Browser, dropzone: Stage
) -> None:
    file, _ = dropzone.file("interview.mp3", 4 * MIB, 1)
    page = ElementPage(clean_driver, dropzone)
    dropzone.network.bytes_per_s = CRAWL_BYTES_PER_S
    page.choose(file)
    page.wait_for_bytes("interview.mp3")
    page.js("Math.random = () => 30")  # pauses of a quarter of a minute and more
    dropzone.network.stop()
    line = page.wait_for("interview.mp3", "Trying again in")
    assert "[Try now]" in line and "[Cancel]" in line
    for _ in range(2):
        page.press("retry_now", "interview.mp3")
        page.wait_for("interview.mp3", "Trying again in")
    dropzone.network.start()
    dropzone.let_go()
    page.press("retry_now", "interview.mp3")
    page.wait_for("interview.mp3", "Uploaded")


@in_make_engines
def test_all_uploads_are_paused_and_cancelled_together_after_a_question(
    clean_driver: Browser, dropzone: Stage
) -> None:
    files = [dropzone.file(f"{n}.bin", 4 * MIB, n)[0] for n in range(5)]
    page = ElementPage(clean_driver, dropzone, "multiple at-once=2")
    dropzone.network.bytes_per_s = CRAWL_BYTES_PER_S
    page.choose(*files)
    page.wait_for_bytes("0.bin")
    assert sum("Waiting" in line for line in page.shown()) == 3, "two at a time"
    page.press("pause_all")
    page.wait_until(lambda: all("[Resume]" in line for line in page.shown()), "all are paused")
    page.press("resume_all")
    page.press("cancel_all")
    assert page.focused() == "Keep uploading"
    page.press("keep")
    page.wait_for("1.bin", "[Pause]")
    page.press("cancel_all")
    page.press("cancel_really")
    page.wait_until(lambda: all("Cancelled" in line for line in page.shown()), "all are cancelled")
    page.press("clear")
    assert page.shown() == []


def test_the_form_gets_the_tickets_under_the_name_that_the_field_has_now(
    clean_driver: Browser, dropzone: Stage
) -> None:
    page = ElementPage(clean_driver, dropzone)
    page.choose(dropzone.file("film.mov", 1, 1)[0])
    page.wait_for("film.mov", "Uploaded")
    entries = "return [...new FormData(host.form)].map(([name, ticket]) => [name, ticket === host.value[0]])"
    assert page.js(entries) == [["files", True]]
    page.js("host.name = 'films'")
    assert page.js(entries) == [["films", True]]
    page.js("host.removeAttribute('name')")
    assert page.js(entries) == []
    page.js("host.setAttribute('name', 'movies')")
    assert page.js(entries) == [["movies", True]]
    assert page.heard().count("change") == 1, "the value has not changed since"


def test_after_a_reload_it_offers_to_continue_and_wants_the_same_file(
    clean_driver: Browser, dropzone: Stage
) -> None:
    file, sha = dropzone.file("film.mov", 4 * MIB, 1)
    other, _ = dropzone.file("film.mov", 3 * MIB, 2)
    page = ElementPage(clean_driver, dropzone)
    dropzone.network.bytes_per_s = CRAWL_BYTES_PER_S
    page.choose(file)
    page.wait_for_bytes("film.mov")
    before = page.js("return host.queue.items[0].upload_id")

    page.open()
    line = page.wait_for("film.mov", "[Choose the file]")
    assert " of 4.2 MB" in line and "[Forget this upload]" in line
    assert page.text("begun").startswith("Continue where you stopped")
    dropzone.let_go()
    page.choose(file)
    page.wait_for("film.mov", "Uploaded")
    assert page.value() == [before], "with the same ticket"
    assert dropzone.app.uploaded() == {"film.mov": sha}
    assert not page.text("begun")
    page.choose(other)
    page.wait_until(lambda: len(page.value()) == 2, "another file of this name is another upload")


def test_a_field_has_a_server_of_its_own(clean_driver: Browser, dropzone: Stage) -> None:
    file, sha = dropzone.file("film.mov", 4 * MIB, 1)
    elsewhere = "<script>incoming.set_server_hostname('127.0.0.1:1')</script>"
    page = ElementPage(clean_driver, dropzone, "server='http://{{incoming_host}}'", after=elsewhere)
    dropzone.network.bytes_per_s = CRAWL_BYTES_PER_S
    page.choose(file)
    page.wait_for_bytes("film.mov")
    page.open()
    page.wait_for("film.mov", "[Choose the file]")
    dropzone.let_go()
    page.choose(file)
    page.wait_for("film.mov", "Uploaded")
    assert dropzone.app.uploaded() == {"film.mov": sha}
    assert dropzone.server.log_text().count("ticket issued") == 1


@in_make_engines
def test_another_field_of_the_page_does_not_offer_it(clean_driver: Browser, dropzone: Stage) -> None:
    file, _ = dropzone.file("film.mov", 4 * MIB, 1)
    page = ElementPage(clean_driver, dropzone)
    dropzone.network.bytes_per_s = CRAWL_BYTES_PER_S
    page.choose(file)
    page.wait_for_bytes("film.mov")
    page = ElementPage(clean_driver, dropzone, "id=other")
    page.js("""
        const twin = document.createElement('incoming-upload');
        Object.assign(twin, { tickets: '/api/frontend/request_upload', name: 'files' });
        document.body.append(twin);
        window.twin = twin.shadowRoot;
    """)
    page.wait_until(lambda: "film.mov" in page.js("return twin.textContent"), "its own field offers it")
    assert page.shown() == []
    page.js("twin.querySelector('[data-action=forget]').click()")
    assert "film.mov" not in page.js("return twin.textContent")


def test_an_upload_of_another_tab_is_shown_as_live(clean_driver: Browser, dropzone: Stage) -> None:
    file, _ = dropzone.file("film.mov", 4 * MIB, 1)
    page = ElementPage(clean_driver, dropzone)
    dropzone.network.bytes_per_s = CRAWL_BYTES_PER_S
    page.choose(file)
    page.wait_for_bytes("film.mov")
    home = clean_driver.current_window_handle
    clean_driver.switch_to.new_window("tab")
    try:
        page.open()
        line = page.wait_for("film.mov", "Uploading in another window")
        assert line.endswith("%"), "with its progress, and no buttons"
    finally:
        clean_driver.close()
        clean_driver.switch_to.window(home)


def test_what_is_not_accepted_is_refused_before_a_ticket_is_asked_for(
    clean_driver: Browser, dropzone: Stage
) -> None:
    names = [("a.txt", 10), ("b.png", 10), ("c.txt", 3000), ("d.txt", 10), ("e.txt", 10)]
    files = [dropzone.file(name, length_bytes)[0] for name, length_bytes in names]
    page = ElementPage(clean_driver, dropzone, "multiple accept=.txt max-bytes=2000 max-files=2")
    assert page.text("hint") == "Up to 2.0 kB for each file"
    page.choose(*files)
    page.wait_until(lambda: page.text("refused"), "they are refused")
    assert page.text("refused").strip().splitlines() == [
        "3 files were not added",
        "b.png: Files of this type are not accepted.",
        "c.txt: This is too large. The limit is 2 kB.",
        "e.txt: Only 2 files are accepted.",
    ]
    assert page.heard().count("upload-refused") == 1
    page.wait_until(lambda: len(page.value()) == 2, "the others are uploaded")
    page.press("close")
    assert not page.text("refused")
    page.choose(dropzone.file(f"{TURNING_NAME}.png", 10)[0])
    page.wait_until(lambda: page.text("refused"), "it is refused")
    assert page.is_turned("refused", "accepted") is False, "whatever its name is"
    assert dropzone.server.log_text().count("ticket issued") == 2


@in_make_engines
def test_it_continues_when_it_is_moved_and_stops_when_it_is_removed(
    clean_driver: Browser, dropzone: Stage
) -> None:
    file, _ = dropzone.file("film.mov", 4 * MIB, 1)
    page = ElementPage(clean_driver, dropzone)
    dropzone.network.bytes_per_s = CRAWL_BYTES_PER_S
    page.choose(file)
    page.wait_for_bytes("film.mov")
    page.js("""
        document.body.prepend(host);
        host.remove();
        document.querySelector('form').append(host);
    """)
    page.press("pause", "film.mov")
    page.wait_for("film.mov", "Paused")
    page.press("resume", "film.mov")
    page.wait_for("film.mov", "[Pause]")
    page.js("window.uploader = host.queue.items[0].uploader; window.element = host; host.remove()")
    wait_until(lambda: clean_driver.execute_script("return uploader.state") == "disposed", "it has stopped")
    clean_driver.execute_script("document.querySelector('form').append(element)")
    page.wait_for("film.mov", "[Choose the file]")


def test_a_field_that_is_removed_and_inserted_again_still_has_what_was_uploaded(
    clean_driver: Browser, dropzone: Stage
) -> None:
    page = ElementPage(clean_driver, dropzone)
    page.choose(dropzone.file("done.mov", 1, 1)[0])
    page.wait_for("done.mov", "Uploaded")
    dropzone.network.bytes_per_s = CRAWL_BYTES_PER_S
    film, sha = dropzone.file("film.mov", 4 * MIB, 2)
    page.choose(film, dropzone.file("next.mov", 4 * MIB, 3)[0])
    page.wait_for_bytes("film.mov")
    before = page.value()
    page.js("window.uploader = host.queue.items[1].uploader; window.element = host; host.remove()")
    wait_until(lambda: clean_driver.execute_script("return uploader.state") == "disposed", "it has stopped")
    assert clean_driver.execute_script("return element.value") == before
    dropzone.let_go()

    clean_driver.execute_script("document.querySelector('form').append(element)")
    page.wait_for("film.mov", "[Choose the file]")
    page.wait_for("done.mov", "Uploaded")
    assert page.js("return new FormData(host.form).getAll('files')") == before
    page.choose(film)
    page.wait_for("film.mov", "Uploaded")
    assert dropzone.app.uploaded()["film.mov"] == sha
    assert page.js("return new FormData(host.form).getAll('files')") == page.value()
    heard = page.heard()
    assert (len(page.value()), heard.count("upload-finished"), heard.count("change")) == (2, 2, 2)


def test_uploads_of_a_queue_of_the_page_continue_without_the_element(
    clean_driver: Browser, dropzone: Stage
) -> None:
    file, sha = dropzone.file("film.mov", 4 * MIB, 1)
    page = ElementPage(clean_driver, dropzone)
    page.js(
        """
        return import(arguments[0]).then(({ Queue, ticket_from }) => {
          host.queue = new Queue({ get_ticket: ticket_from('/api/frontend/request_upload') });
        });
    """,
        f"http://{dropzone.network.host}/incoming/frontend/queue.mjs",
    )
    dropzone.network.bytes_per_s = CRAWL_BYTES_PER_S
    page.choose(file)
    page.wait_for_bytes("film.mov")
    page.js("window.queue = host.queue; host.remove()")
    dropzone.let_go()
    wait_until(
        lambda: clean_driver.execute_script("return queue.items[0].state") == "finished", "it finishes"
    )
    assert dropzone.app.uploaded() == {"film.mov": sha}


NO_LIBRARY = "<script>Object.defineProperty(window, 'incoming', { value: undefined })</script>"


@pytest.mark.parametrize(
    ("before", "attributes", "said"),
    [
        (NO_LIBRARY, "", "The upload server does not respond."),
        ("", "tickets=''", "This page does not say where its upload tickets come from."),
    ],
)
def test_it_says_when_it_cannot_work(
    clean_driver: Browser, dropzone: Stage, before: str, attributes: str, said: str
) -> None:
    page = ElementPage(clean_driver, dropzone, attributes, before)
    assert page.text("trouble").startswith(said)
    assert not page.text("dropzone")
    clean_driver.errors.clear()


def test_a_reset_form_and_a_disabled_fieldset_are_obeyed(clean_driver: Browser, dropzone: Stage) -> None:
    file, _ = dropzone.file("film.mov", 4 * MIB, 1)
    page = ElementPage(clean_driver, dropzone)
    dropzone.network.bytes_per_s = CRAWL_BYTES_PER_S
    page.choose(file)
    page.wait_for_bytes("film.mov")
    clean_driver.find_element("id", "reset").click()
    page.wait_until(lambda: page.shown() == [], "the list is empty")
    page.js("""
        const fields = document.createElement('fieldset');
        host.replaceWith(fields);
        fields.append(host);
        fields.disabled = true;
    """)
    page.wait_until(
        lambda: page.js("return root.querySelector('[data-action=choose]').disabled"), "it is disabled"
    )
    page.js("host.parentElement.disabled = false")
    page.wait_until(
        lambda: not page.js("return root.querySelector('[data-action=choose]').disabled"),
        "it is not any more",
    )


@in_make_engines
def test_scripts_that_are_loaded_twice_leave_one_element(clean_driver: Browser, dropzone: Stage) -> None:
    file, sha = dropzone.file("film.mov", MIB, 1)
    twice = '<script src="//{{incoming_host}}/incoming/frontend/incoming-upload.js?again"></script>'
    module = '<script type="module" src="//{{incoming_host}}/incoming/frontend/element.mjs"></script>'
    page = ElementPage(clean_driver, dropzone, after=twice + module)
    page.choose(file)
    page.wait_for("film.mov", "Uploaded")
    assert dropzone.app.uploaded() == {"film.mov": sha}


def test_the_texts_are_those_of_the_page_and_of_the_element(clean_driver: Browser, dropzone: Stage) -> None:
    page = ElementPage(clean_driver, dropzone, "lang=de")
    page.js(
        "incoming.set_texts({ element: { choose_file: 'Datei wählen', drop_file: 'Datei hierher ziehen' } })"
    )
    page.js("host.texts = { drop_file: 'Film hierher ziehen' }")
    page.js("host.accept = '.mov'; host.max_bytes = 12345")
    assert [page.text("title"), page.text("hint")] == ["Film hierher ziehen", "Up to 12,3 kB for each file"]
    assert page.button("choose").text == "Datei wählen"
    assert page.js("return [host.accept, host.multiple, host.form.tagName, host.max_bytes]") == [
        ".mov", False, "FORM", "12345",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "tail"),
    [
        ("a report with a long name 2024.pdf", " 2024.pdf"),
        ("تقرير المشروع النهائي.pdf", ".pdf"),
        ("تقرير المشروع النهائي", ""),
        ("a picture of us 👨‍👩‍👧‍👦.jpg", ".jpg"),
        ("a letter for Re\u0301.txt", ".txt"),
        ("परियोजना की अंतिम रिपोर्ट 12.pdf", " 12.pdf"),
        ("\u2067a picture\u202egpj.exe", "gpj.exe"),
        ("iiii.txt", ".txt"),
        ("ليلى", ""),
        ("m.i", ""),
    ],
)
def test_a_name_that_is_cut_in_the_middle_parts_nothing_that_is_drawn_together(
    clean_driver: Browser, dropzone: Stage, name: str, tail: str
) -> None:
    page = ElementPage(clean_driver, dropzone)
    page.js("host.add([new File(['a'], arguments[0])])", name)
    wait_until(page.shown, "its row")
    parts = page.js("return ['.stem', '.tail'].map((part) => root.querySelector(part).textContent)")
    assert parts == [name.removesuffix(tail), tail]
    widths = page.js("""
        const cut = root.querySelector('.cut');
        const width = (part) => {
          const text = document.createRange();
          text.selectNodeContents(part);
          return text.getBoundingClientRect().width;
        };
        const [stem, tail] = [...cut.children].map(width);
        const whole = cut.children[0];
        whole.textContent = cut.textContent;
        return [stem + tail, width(whole)];
    """)
    assert widths[0] == pytest.approx(widths[1], abs=1), "a joined letter alone has another width"
