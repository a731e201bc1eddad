"""What a user sees on ordinary days: records arrive, changes follow, nothing else is touched."""


def test_customers_and_orders_arrive_and_a_second_run_writes_nothing(acme):
    acme.customer("C-100", "Acme")
    acme.order("10042", "C-100")
    counts = acme.sync()
    assert (counts["customers"]["written"], counts["orders"]["written"]) == (1, 1)
    deal = acme.held("Deals")["10042"]
    assert deal["Stage"] == "Negotiation/Review"
    assert deal["Account_Name"] == acme.held()["C-100"]["id"]
    assert [flow["written"] for flow in acme.sync().values()] == [0, 0]
