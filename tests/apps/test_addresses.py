"""What an address names is shown when it is opened, whatever the session had before; then the user's choice holds."""

from apps_pages import FIRST, choose, opened, spoken

MATRIX, PAIR, SAES = "pages_matrix.py", "pages_pair.py", "pages_saes.py"


def follow(app, page, **query):
    """Follow a link from one page to another; the browser replaces the whole query."""
    app.query_params.clear()
    app.query_params.update(query)
    app.switch_page(page).run()
    assert not app.exception, app.exception
    return app


def test_a_link_that_names_a_run_wins_over_the_choice_so_far_and_the_next_choice_over_the_link(store):
    app = choose(opened(MATRIX), "Compare run", store.few_samples)
    app = follow(app, SAES, run=store.compare)
    assert app.selectbox(key="compare_run").value == store.compare
    app = follow(app, MATRIX)
    assert app.selectbox(key="compare_run").value == store.compare
    app = choose(app, "Compare run", store.few_samples)
    assert app.selectbox(key="compare_run").value == store.few_samples
    assert app.query_params["run"] in (store.few_samples, [store.few_samples])
    app.run()
    assert app.selectbox(key="compare_run").value == store.few_samples


def test_a_link_that_names_what_widgets_show_by_default_wins_over_the_choice_so_far(store):
    app = choose(opened(PAIR), "Source", "bert")
    app = follow(app, MATRIX, run=store.compare)
    app = follow(app, PAIR, run=store.compare, source="clip-image", target="vit")
    assert [app.selectbox(key=key).value for key in ("source", "target")] == ["clip-image", "vit"]
    app = follow(choose(app, "Source", "clip-text"), MATRIX)
    app = follow(app, PAIR)
    assert app.selectbox(key="source").value == "clip-text"


def test_an_address_that_names_a_key_of_the_app_is_harmless(store):
    app = opened(MATRIX, store="x", address_page="y", compare_run="z", run=store.compare)
    assert app.selectbox(key="compare_run").value == store.compare and not app.warning


def test_a_run_of_another_kind_in_the_address_changes_no_choice_and_is_told_where_there_is_none(store):
    app = choose(opened(MATRIX), "Compare run", store.few_samples)
    app = follow(app, SAES, run=store.failed)
    assert app.selectbox(key="compare_run").value == store.few_samples and "no compare run" not in spoken(app)
    assert "no compare run" in spoken(opened(MATRIX, run=store.failed))


def test_a_measure_holds_on_pages_that_have_it(store):
    app = opened(MATRIX)
    for measure, here in (("asymmetry", "crossfit"), ("naive", "naive")):
        app.segmented_control[0].set_value(measure).run()
        app = follow(app, FIRST)
        assert app.segmented_control[0].value == here
        app = follow(app, MATRIX)
