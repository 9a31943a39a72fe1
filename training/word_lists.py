"""First names and cities: trained ones, and those that only the evaluation sees."""


def _split(text: str) -> list[str]:
    return [word.strip() for word in text.replace("\n", " ").split(",") if word.strip()]


HELD_OUT_NAMES = _split("""
Nicole, Frida, Albert, Arthur, Barry, Bernard, Caroline, Charlotte, Eleanor, Ernest, Joan, Joseph, Norman, Patrick,
Simon, Stephen, Sylvia, Virginia, William, Hannah, Monica, Alex, Simone, Nathan, Jonas, Martin, Adrian, Colin, Kevin,
Mason, Ursula, Quentin, Bruno, Greta, Igor, Judith, Marcel, Ralph, Tanya, Stella, Dmitri, Camille, Edgar
""")
HELD_OUT_CITIES = _split("""
Austin, Phoenix, Detroit, Philadelphia, Buffalo, Cleveland, Orlando, Sacramento, Memphis, Brighton, Manchester,
Liverpool, Newcastle, Victoria, Wellington, Lancaster, Richmond, Jackson, Lincoln, Madison, Columbus, Charleston,
Springfield, Georgetown, San Diego, Durham, Essex, Sussex, Norfolk, Albany, Hampton, Windsor, Alexandria, Darwin,
Adelaide, Brisbane, Aurora, Arlington, Oakland, Savannah, Portland, Kingston, Havana, Ankara, Kiev, Dakar, Perth,
Turin, Leipzig, Bergen, Baghdad, Salem, Granada
""")
NAMES = _split("""
Ada, Alan, Alice, Anna, Ben, Bob, Carl, Carla, Clara, Daniel, David, Diana, Elena, Emma, Eric, Eva, Felix, Fiona,
Frank, George, Grace, Hanna, Harry, Helen, Henry, Hugo, Ian, Ida, Irene, Ivan, Jack, Jane, Jill, John, Julia, Kai,
Karen, Karl, Kate, Kim, Laura, Leo, Lena, Lily, Linda, Lisa, Lucas, Lucy, Luis, Maria, Mark, Marta, Max, Maya, Mia,
Mike, Mila, Nadia, Nina, Noah, Nora, Olga, Oliver, Olivia, Oscar, Otto, Paul, Pedro, Peter, Rachel, Robert, Rosa,
Ruth, Ryan, Sam, Sara, Sofia, Sophie, Steve, Susan, Theo, Thomas, Tina, Tom, Vera, Victor, Walter, Wendy, Yuki, Zoe,
Zara, Amir, Aisha, Chen, Diego, Farah, Hiro, Ines, Jorge, Kofi, Leila, Ming, Omar, Priya, Raj, Sven, Tariq, Uma, Wei,
Yara, Grete, Ingrid, Lars, Freya, Nils, Astrid, Bjorn, Sanna, Mikko, Aino, Pavel, Jana, Tomas, Zdenek, Agnes, Balint,
Andrea, Luca, Giulia, Marco, Chiara, Paolo, Pierre, Chloe, Louis, Manon, Hans, Heidi, Klaus, Petra, Jurgen, Anton,
Natasha, Boris, Svetlana, Yusuf, Fatima, Ahmed, Layla, Hassan, Mehmet, Elif, Amara, Chidi, Zuri, Kwame, Thandi,
Arjun, Meera, Sanjay, Anika, Rohan, Mei, Jun, Hana, Kenji, Sakura, Minh, Linh, Somchai, Putri, Mateo, Camila,
Valentina, Santiago, Isabella, Thiago, Emily, Jessica, Michael, James, Sarah, Ashley, Amanda, Brian, Jason, Justin,
Megan, Tyler, Dylan, Ethan, Logan, Aiden, Chris, Matt, Tim, Dan, Nick, Joe, Jim, Liz, Beth, Amy
""")
CITIES = _split("""
Paris, London, Berlin, Madrid, Rome, Vienna, Prague, Tokyo, Kyoto, Osaka, Beijing, Shanghai, Delhi, Mumbai, Cairo,
Lagos, Nairobi, Sydney, Melbourne, Toronto, Montreal, Chicago, Boston, Seattle, Dallas, Houston, Miami, Denver,
Atlanta, Lima, Quito, Santiago, Lisbon, Porto, Dublin, Oslo, Stockholm, Helsinki, Copenhagen, Athens, Warsaw,
Budapest, Zurich, Geneva, Milan, Naples, Venice, Florence, Barcelona, Valencia, Seville, Munich, Hamburg, Cologne,
Frankfurt, Brussels, Amsterdam, Rotterdam, Moscow, Istanbul, Dubai, Doha, Seoul, Busan, Bangkok, Hanoi, Manila,
Jakarta, Singapore, Oxford, Cambridge, York, Leeds, Bristol, Glasgow, Edinburgh, Lyon, Nice, Lille, Marseille,
San Francisco, New York, Los Angeles, Las Vegas, Hong Kong, Rio de Janeiro, Buenos Aires, Cape Town, New Delhi,
Mexico City, Reykjavik, Bratislava, Ljubljana, Zagreb, Belgrade, Sofia, Bucharest, Tallinn, Riga, Vilnius, Minsk,
Tbilisi, Yerevan, Baku, Tehran, Riyadh, Jerusalem, Tel Aviv, Beirut, Damascus, Amman, Muscat, Karachi, Lahore,
Islamabad, Kabul, Tashkent, Almaty, Dhaka, Kolkata, Chennai, Bangalore, Hyderabad, Pune, Colombo, Kathmandu, Yangon,
Phnom Penh, Saigon, Kuala Lumpur, Taipei, Nagoya, Sapporo, Fukuoka, Hiroshima, Nara, Yokohama, Kobe, Shenzhen,
Guangzhou, Chengdu, Wuhan, Nanjing, Harbin, Auckland, Honolulu, Anchorage, Vancouver, Calgary, Ottawa, Quebec,
Baltimore, Pittsburgh, Cincinnati, Milwaukee, Minneapolis, Nashville, New Orleans, Tampa, Tucson, Bogota, Caracas,
Medellin, Cusco, La Paz, Montevideo, Brasilia, Salvador, Recife, Accra, Abuja, Kampala, Kigali, Addis Ababa, Tunis,
Algiers, Casablanca, Marrakesh, Rabat, Tripoli, Khartoum, Lusaka, Harare, Maputo, Durban, Johannesburg, Pretoria,
Basel, Bern, Lausanne, Salzburg, Graz, Innsbruck, Stuttgart, Dresden, Bremen, Hanover, Nuremberg, Bonn, Antwerp,
Ghent, Bruges, Utrecht, Bordeaux, Toulouse, Nantes, Strasbourg, Malaga, Bilbao, Palermo, Bologna, Genoa, Verona,
Krakow, Gdansk, Brno, Gothenburg, Malmo, Uppsala, Aarhus, Tampere, Belfast, Cork, Galway, Cardiff, Bath, Canberra
""")
